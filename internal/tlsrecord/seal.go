package tlsrecord

import (
	"encoding/binary"
	"errors"
)

// Type is the content type of a record (RFC 8446, 5.1).
type Type uint8

const (
	TypeChangeCipherSpec Type = 20
	TypeAlert            Type = 21
	TypeHandshake        Type = 22
	TypeData             Type = 23
)

const (
	// HeaderSize is the length of a record's header.
	HeaderSize = 5
	// MaxData is the most data in one record.
	MaxData = 1 << 14
	// MaxOverhead is the most by which a record of data is longer than its data.
	MaxOverhead = HeaderSize + explicitNonce + tagSize + 1
	// MaxRecord is the most bytes of a record that can be opened.
	MaxRecord = HeaderSize + MaxData + 2048

	explicitNonce = 8 // of AES-GCM in TLS 1.2
	tagSize       = 16
)

const (
	// rekeyAt is the number of records after which output gets new keys: fewer than the 2^24.5 full
	// records that AES-GCM is good for under one key (RFC 8446, 5.5).
	rekeyAt = 1 << 24
	// exhausted is the number of records after which a connection ends that can't get new keys.
	exhausted = 1<<32 - 8
)

// ErrExhausted says that no further record may be sealed or opened under a connection's keys.
var ErrExhausted = errors.New("too many records under one key")

// Layer protects the records of many connections, for one goroutine.
type Layer struct {
	nonce [ivSize]byte
	aad   [13]byte
	onUse func(key []byte, seq uint64) // test hook: a record is sealed
	rekey uint32                       // rekeyAt, lower in tests; 0: rekeyAt
}

// AppendData appends a record with bytes of bufs, up to MaxData of those behind the first skip, and
// returns their number. New keys are announced in a record before it if they are due.
func (l *Layer) AppendData(dst []byte, s *State, w *Wide, bufs [][]byte, skip int) (_ []byte, n int, err error) {
	if dst, err = l.AppendOwed(dst, s, w); err != nil {
		return dst, 0, err
	}
	start := len(dst)
	dst = l.begin(dst, s)
	for _, b := range bufs {
		passed := min(skip, len(b))
		skip -= passed
		b = b[passed:min(len(b), passed+MaxData-n)]
		dst = append(dst, b...)
		if n += len(b); n == MaxData {
			break
		}
	}
	dst, err = l.seal(dst, start, s, w, TypeData)
	return dst, n, err
}

// AppendOwed appends a key update if the peer has requested one or the present keys are worn.
func (l *Layer) AppendOwed(dst []byte, s *State, w *Wide) (_ []byte, err error) {
	most := l.rekey
	if most == 0 {
		most = rekeyAt
	}
	if s.is12() || s.flags&flagOwes == 0 && s.outSeq < most {
		return dst, nil
	}
	return l.AppendUpdate(dst, s, w, false)
}

// AppendUpdate appends a key update of TLS 1.3, which may request one of the peer.
func (l *Layer) AppendUpdate(dst []byte, s *State, w *Wide, request bool) (_ []byte, err error) {
	s.flags &^= flagOwes
	start := len(dst)
	dst = append(l.begin(dst, s), messageKeyUpdate, 0, 0, 1, updateNotRequested)
	if request {
		dst[len(dst)-1] = updateRequested
	}
	if dst, err = l.seal(dst, start, s, w, TypeHandshake); err != nil {
		return dst, err
	}
	return dst, s.updateOut(w)
}

// AppendClose appends the last record of a connection, close_notify.
func (l *Layer) AppendClose(dst []byte, s *State, w *Wide) ([]byte, error) {
	return l.appendAlert(dst, s, w, levelWarning, AlertCloseNotify)
}

// AppendAlert appends the last record of a connection whose peer is at fault.
func (l *Layer) AppendAlert(dst []byte, s *State, w *Wide, a Alert) ([]byte, error) {
	return l.appendAlert(dst, s, w, levelFatal, a)
}

func (l *Layer) appendAlert(dst []byte, s *State, w *Wide, level byte, a Alert) ([]byte, error) {
	s.flags |= flagClosed
	start := len(dst)
	dst = append(l.begin(dst, s), level, byte(a))
	return l.seal(dst, start, s, w, TypeAlert)
}

// begin appends room for what precedes a record's content.
func (l *Layer) begin(dst []byte, s *State) []byte {
	if s.is12() && s.suite != chacha20 {
		return append(dst, make([]byte, HeaderSize+explicitNonce)...)
	}
	return append(dst, make([]byte, HeaderSize)...)
}

// seal completes the record whose content was appended to dst, in place. Whatever becomes of the
// record, its number is used up.
func (l *Layer) seal(dst []byte, start int, s *State, w *Wide, typ Type) ([]byte, error) {
	if s.outSeq >= exhausted {
		return dst[:start], ErrExhausted
	}
	a, iv, err := s.outAEAD(w)
	if err != nil {
		return dst[:start], err
	}
	seq := uint64(s.outSeq)
	s.outSeq++
	if l.onUse != nil {
		l.onUse(s.currentKey(w), seq)
	}
	body := start + HeaderSize
	if s.is12() {
		dst[start], dst[start+1], dst[start+2] = byte(typ), 3, 3
		if s.suite != chacha20 {
			binary.BigEndian.PutUint64(dst[body:], seq)
			body += explicitNonce
		}
		aad := l.aad12(seq, typ, len(dst)-body)
		dst = a.Seal(dst[:body], l.nonce12(s.suite, iv, seq), dst[body:], aad)
		binary.BigEndian.PutUint16(dst[start+3:], uint16(len(dst)-start-HeaderSize))
		return dst, nil
	}
	dst = append(dst, byte(typ)) // it may move, here and below
	header := dst[start:body]
	header[0], header[1], header[2] = byte(TypeData), 3, 3
	binary.BigEndian.PutUint16(header[3:], uint16(len(dst)-body+tagSize))
	copy(l.aad[:], header)
	return a.Seal(dst[:body], l.nonce13(iv, seq), dst[body:], l.aad[:HeaderSize]), nil
}

// currentKey returns what tells the output's present key from all others.
func (s *State) currentKey(w *Wide) []byte {
	if s.is12() {
		return s.outSecret[:s.suite.keySize()]
	}
	return s.out(w)
}

// nonce13 returns the nonce of a record: its number, masked by the IV (RFC 8446, 5.3).
func (l *Layer) nonce13(iv []byte, seq uint64) []byte {
	copy(l.nonce[:], iv)
	low := l.nonce[ivSize-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^seq)
	return l.nonce[:]
}

// nonce12 returns the nonce of a record in TLS 1.2: for AES-GCM the IV and the number that is sent
// with the record (RFC 5288, 3), for ChaCha20 as in TLS 1.3 (RFC 7905, 2).
func (l *Layer) nonce12(u suite, iv []byte, explicit uint64) []byte {
	if u == chacha20 {
		return l.nonce13(iv, explicit)
	}
	copy(l.nonce[:4], iv)
	binary.BigEndian.PutUint64(l.nonce[4:], explicit)
	return l.nonce[:]
}

// aad12 returns the additional data of a record of n content bytes (RFC 5246, 6.2.3.3).
func (l *Layer) aad12(seq uint64, typ Type, n int) []byte {
	binary.BigEndian.PutUint64(l.aad[:], seq)
	l.aad[8], l.aad[9], l.aad[10] = byte(typ), 3, 3
	binary.BigEndian.PutUint16(l.aad[11:], uint16(n))
	return l.aad[:]
}
