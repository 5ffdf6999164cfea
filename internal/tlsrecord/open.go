package tlsrecord

import (
	"encoding/binary"
	"io"
)

// RecordSize returns the length of the record that begins with b, header included, and 0 if b is
// too short to tell. The error is the Alert for a length that no record has.
func RecordSize(b []byte) (int, error) {
	if len(b) < HeaderSize {
		return 0, nil
	}
	n := HeaderSize + int(binary.BigEndian.Uint16(b[3:]))
	if n > MaxRecord {
		return 0, AlertRecordOverflow
	}
	return n, nil
}

// maxIdle is the most records without data in a row.
const maxIdle = 16

// Receive opens the whole records at the front of b, in place. It returns their data, which begins
// where b does, and the start of an incomplete record behind them. The error is io.EOF behind the
// peer's close_notify, the Alert to send for a fault of the peer's, or its own PeerAlert; the data
// before it is good.
func (l *Layer) Receive(b []byte, s *State, w *Wide) (data, rest []byte, err error) {
	data = b[:0]
	for len(b) > 0 {
		n, err := s.recordSize(b)
		if err != nil {
			return data, nil, err
		}
		if n == 0 || n > len(b) {
			break
		}
		typ, content, err := l.open(b[:n], s, w)
		if err != nil {
			return data, nil, err
		}
		b = b[n:]
		if typ == TypeData {
			if err := s.counted(len(content) > 0); err != nil {
				return data, nil, err
			}
			data = append(data, content...) // within b: records are longer than their data
			continue
		}
		if err := s.handle(w, typ, content); err != nil {
			return data, nil, err
		}
	}
	return data, b, nil
}

// recordSize is RecordSize, also for records that are too long or too short for the connection.
func (s *State) recordSize(b []byte) (int, error) {
	n, err := RecordSize(b)
	if n == 0 || err != nil {
		return 0, err
	}
	if b[1] != 3 || b[2] != 3 {
		return 0, AlertProtocolVersion
	}
	if s.is12() {
		if n < HeaderSize+s.overhead12() {
			return 0, AlertBadRecordMAC
		}
		return n, nil
	}
	switch {
	case Type(b[0]) != TypeData:
		return 0, AlertUnexpectedMessage
	case n > HeaderSize+MaxData+256: // RFC 8446, 5.2
		return 0, AlertRecordOverflow
	case n < HeaderSize+1+tagSize:
		return 0, AlertBadRecordMAC
	}
	return n, nil
}

// overhead12 is the length of an empty record's body in TLS 1.2.
func (s *State) overhead12() int {
	if s.suite == chacha20 {
		return tagSize
	}
	return explicitNonce + tagSize
}

// open opens one whole record in place.
func (l *Layer) open(b []byte, s *State, w *Wide) (typ Type, content []byte, err error) {
	if s.inSeq >= exhausted {
		return 0, nil, AlertInternalError
	}
	a, iv, err := s.inAEAD(w)
	if err != nil {
		return 0, nil, AlertInternalError
	}
	seq := uint64(s.inSeq)
	body := b[HeaderSize:]
	if s.is12() {
		typ = Type(b[0])
		explicit := seq
		if s.suite != chacha20 {
			explicit = binary.BigEndian.Uint64(body)
			body = body[explicitNonce:]
		}
		aad := l.aad12(seq, typ, len(body)-tagSize)
		content, err = a.Open(body[:0], l.nonce12(s.suite, iv, explicit), body, aad)
	} else {
		content, err = a.Open(body[:0], l.nonce13(iv, seq), body, b[:HeaderSize])
	}
	if err != nil {
		return 0, nil, AlertBadRecordMAC
	}
	s.inSeq++
	if s.is12() {
		if len(content) > MaxData {
			return 0, nil, AlertRecordOverflow
		}
		return typ, content, nil
	}
	return inner(content)
}

// inner takes the type and padding off the content of a record of TLS 1.3 (RFC 8446, 5.4).
func inner(content []byte) (Type, []byte, error) {
	if len(content) > MaxData+1 {
		return 0, nil, AlertRecordOverflow
	}
	for i := len(content) - 1; i >= 0; i-- {
		if content[i] != 0 {
			return Type(content[i]), content[:i], nil
		}
	}
	return 0, nil, AlertUnexpectedMessage
}

// counted bounds the records without data: each costs as much as one with data.
func (s *State) counted(data bool) error {
	switch {
	case s.held > 0 || s.skip > 0: // a handshake message must not be interrupted
		return AlertUnexpectedMessage
	case data:
		s.idle = 0
		return nil
	}
	return s.countIdle()
}

func (s *State) countIdle() error {
	if s.idle++; s.idle > maxIdle {
		return AlertUnexpectedMessage
	}
	return nil
}

// handle takes the content of a record without data.
func (s *State) handle(w *Wide, typ Type, content []byte) error {
	if err := s.countIdle(); err != nil {
		return err
	}
	switch typ {
	case TypeAlert:
		if s.held > 0 || s.skip > 0 {
			return AlertUnexpectedMessage
		}
		return s.alert(content)
	case TypeHandshake:
		if len(content) == 0 {
			return AlertUnexpectedMessage
		}
		return s.messages(w, content)
	}
	return AlertUnexpectedMessage
}

// alert takes an alert of the peer's.
func (s *State) alert(content []byte) error {
	if len(content) != 2 {
		return AlertUnexpectedMessage
	}
	level, a := content[0], Alert(content[1])
	switch {
	case a == AlertCloseNotify:
		return io.EOF
	case a == AlertUserCanceled, s.is12() && level == levelWarning:
		return nil // a close_notify follows, or nothing
	}
	return PeerAlert(a)
}

// The messages behind a handshake (RFC 8446, 4).
const (
	messageClientHello = 1
	messageTicket      = 4
	messageKeyUpdate   = 24

	updateNotRequested = 0
	updateRequested    = 1
)

// messages takes a piece of the peer's handshake messages.
func (s *State) messages(w *Wide, content []byte) error {
	for len(content) > 0 {
		if s.skip > 0 {
			n := min(int(s.skip), len(content))
			s.skip -= uint32(n)
			content = content[n:]
			continue
		}
		if int(s.held) < len(s.hand) {
			s.hand[s.held] = content[0]
			s.held++
			content = content[1:]
			if err := s.begins(); err != nil {
				return err
			}
			continue
		}
		// The body of a key update.
		request := content[0]
		s.held = 0
		if len(content) > 1 { // the rest would be under the old key
			return AlertUnexpectedMessage
		}
		return s.keyUpdate(w, request)
	}
	return nil
}

// begins checks the header of a handshake message as far as it has come.
func (s *State) begins() error {
	ticket := !s.is12() && s.flags&flagClient != 0 && s.hand[0] == messageTicket
	switch {
	case s.is12() && s.flags&flagClient == 0 && s.hand[0] == messageClientHello:
		return AlertNoRenegotiation
	case s.is12(), s.hand[0] != messageKeyUpdate && !ticket:
		return AlertUnexpectedMessage
	case int(s.held) < len(s.hand):
		return nil
	}
	n := uint32(s.hand[1])<<16 | uint32(s.hand[2])<<8 | uint32(s.hand[3])
	switch {
	case ticket:
		s.skip, s.held = n, 0
		s.idle = 0 // the server decides how many it sends
	case n != 1:
		return AlertDecodeError
	}
	return nil
}

// keyUpdate takes the peer's new keys into use (RFC 8446, 4.6.3). A request that comes before the
// last one was answered needs no answer of its own.
func (s *State) keyUpdate(w *Wide, request byte) error {
	switch request {
	case updateRequested:
		s.flags |= flagOwes
	case updateNotRequested:
	default:
		return AlertIllegalParameter
	}
	if err := s.updateIn(w); err != nil {
		return AlertInternalError
	}
	return nil
}
