package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// tlsConn is the TLS side of one client: a tls.Conn over memory, which the loop
// fills from the socket and empties to it. An idle client has no goroutine. While
// the handshake goes on it is a coroutine of the loop, so that its time is the
// loop's: crypto/tls can't be resumed in a handshake, but may be asked to read
// again after an error that is temporary (crypto/tls, readRecordOrCCS).
type tlsConn struct {
	net.Conn // nil: a tls.Conn that is not closed only reads and writes
	conn     *tls.Conn
	loop     *loop
	// Of the handshake: next goes on with it until it needs more from the socket
	// or is over, with err as its end; stop gives it up. Nil once it is over.
	next func() (struct{}, bool)
	stop func()
	wait func(struct{}) bool
	err  error
}

// secure is shared by all TLS clients of a loop. Between two calls of the loop
// both buffers are empty.
type secure struct {
	l      *loop
	config *tls.Config
	of     []*tlsConn // by slot; nil before the handshake begins
	sealed []byte     // received from the socket and not yet read
	outgo  []byte     // to be sent
	plain  []byte     // room for decrypted bytes
}

// errNothingYet is how a read says that the socket has no more for now: it is temporary.
var errNothingYet = os.ErrDeadlineExceeded

// Read implements net.Conn for the tls.Conn.
func (s *tlsConn) Read(p []byte) (int, error) {
	w := &s.loop.secure
	for len(w.sealed) == 0 {
		if s.wait == nil {
			return 0, errNothingYet
		}
		if !s.wait(struct{}{}) {
			return 0, io.EOF
		}
	}
	n := copy(p, w.sealed)
	w.sealed = w.sealed[n:]
	return n, nil
}

func (s *tlsConn) Write(p []byte) (int, error) {
	s.loop.secure.outgo = append(s.loop.secure.outgo, p...)
	return len(p), nil
}

// startTLS begins the TLS handshake of a client whose connection stands.
func (t *secure) startTLS(slot uint32) {
	s := &tlsConn{loop: t.l}
	s.conn = tls.Client(s, t.config)
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.wait = yield
		s.err = s.conn.Handshake()
		s.wait = nil
	})
	t.of[slot] = s
	if t.handshake(slot, s) {
		t.l.watch(slot, t.l.reads(slot))
	}
}

// handshake goes on with a handshake. False: the client is gone, or bytes wait for
// room.
func (t *secure) handshake(slot uint32, s *tlsConn) bool {
	began := t.l.engine.Clock.Now()
	_, more := s.next()
	t.l.now = t.l.engine.Clock.Now()
	t.l.counters.TLSTime += uint64(t.l.now - began)
	if !t.transmitEncrypted(slot) {
		return false
	}
	if more {
		return t.l.clients[slot].flags&wantsOut == 0
	}
	s.next, s.stop = nil, nil
	if s.err != nil {
		t.l.end(slot, tlsReason(s.err))
		return false
	}
	t.l.counters.TLSHandshakes++
	t.l.established(slot)
	return t.of[slot] == s && t.l.clients[slot].flags&wantsOut == 0
}

// decrypt takes bytes of the socket.
func (t *secure) decrypt(slot uint32, p []byte) {
	s := t.of[slot]
	t.sealed = p
	defer func() { t.sealed = nil }()
	if s.next != nil {
		t.handshake(slot, s)
	}
	for t.of[slot] == s && s.next == nil {
		n, err := s.conn.Read(t.plain)
		if len(t.outgo) > 0 && !t.transmitEncrypted(slot) { // the answer to a key update
			return
		}
		if n > 0 {
			t.l.transport(slot).received(t.l, slot, t.plain[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, errNothingYet):
			return
		case t.of[slot] != s:
			return
		case errors.Is(err, io.EOF): // its close_notify
			t.l.streamEnded(slot, io.EOF)
			return
		default:
			t.l.end(slot, tlsReason(err))
			return
		}
	}
}

// encrypt encrypts bytes to be sent; the result is good until the next call.
func (t *secure) encrypt(slot uint32, p []byte) []byte {
	// Into memory: an error would be of the connection's state, which the next read reports.
	t.of[slot].conn.Write(p)
	out := t.outgo
	t.outgo = t.outgo[:0]
	return out
}

// transmitEncrypted sends the TLS layer's own bytes. False: the
// client is gone.
func (t *secure) transmitEncrypted(slot uint32) bool {
	out := t.outgo
	t.outgo = out[:0]
	return len(out) == 0 || t.l.transmit(slot, out)
}

// dropTLS forgets a client's TLS side.
func (t *secure) dropTLS(slot uint32) {
	if s := t.of[slot]; s != nil {
		t.of[slot] = nil
		if s.stop != nil {
			s.stop()
			t.outgo = t.outgo[:0]
		}
	}
}

// tlsReason finds the word for an error of crypto/tls.
func tlsReason(err error) account.Reason {
	var (
		header  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &header):
		return account.ReasonNotTLS
	case errors.As(err, &unknown):
		return account.ReasonIssuer
	case errors.As(err, &name):
		return account.ReasonName
	}
	text := strings.TrimPrefix(err.Error(), "tls: ")
	return account.TextReason(account.ReasonTLS, []byte(strings.TrimPrefix(text, "failed to verify certificate: ")))
}
