package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"net"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// secured is the TLS side of one client: a tls.Conn over memory, which the loop
// fills from the socket and empties to it. An idle client has no goroutine. While
// the handshake goes on it is a coroutine of the loop, so that its time is the
// loop's: crypto/tls can't be resumed in a handshake, but may be asked to read
// again after an error that is temporary (crypto/tls, readRecordOrCCS).
type tlsConn struct {
	conn *tls.Conn
	loop *loop
	// Of the handshake: next goes on with it until it needs more from the socket
	// or is over, with err as its end; stop gives it up. Nil once it is over.
	next func() (struct{}, bool)
	stop func()
	wait func(struct{}) bool
	err  error
}

// wires is what all TLS clients of a loop share. Between two calls of the loop
// both buffers are empty.
type tlsState struct {
	config *tls.Config
	of     []*tlsConn // by slot; nil before the handshake begins
	in     []byte     // came from the socket and was not read yet
	out    []byte     // to be sent
	plain  []byte     // room for what was read
}

// errNothingYet is how a read says that the socket has no more for now.
var errNothingYet net.Error = nothingYet{}

type nothingYet struct{}

func (nothingYet) Error() string { return "nothing yet" }

func (nothingYet) Timeout() bool { return true }

func (nothingYet) Temporary() bool { return true }

// Read implements net.Conn for the tls.Conn.
func (s *tlsConn) Read(p []byte) (int, error) {
	w := &s.loop.tls
	for len(w.in) == 0 {
		if s.wait == nil {
			return 0, errNothingYet
		}
		if !s.wait(struct{}{}) {
			return 0, io.EOF
		}
	}
	n := copy(p, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (s *tlsConn) Write(p []byte) (int, error) {
	s.loop.tls.out = append(s.loop.tls.out, p...)
	return len(p), nil
}

func (s *tlsConn) Close() error { return nil }

func (s *tlsConn) LocalAddr() net.Addr { return nil }

func (s *tlsConn) RemoteAddr() net.Addr { return nil }

func (s *tlsConn) SetDeadline(time.Time) error { return nil }

func (s *tlsConn) SetReadDeadline(time.Time) error { return nil }

func (s *tlsConn) SetWriteDeadline(time.Time) error { return nil }

// secure begins the TLS handshake of a client whose connection stands.
func (l *loop) startTLS(slot uint32) {
	s := &tlsConn{loop: l}
	s.conn = tls.Client(s, l.tls.config)
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.wait = yield
		s.err = s.conn.Handshake()
		s.wait = nil
	})
	l.tls.of[slot] = s
	if l.handshake(slot, s) {
		l.watch(slot, l.reads(slot))
	}
}

// shake goes on with a handshake. False: the client is gone, or bytes wait for
// room.
func (l *loop) handshake(slot uint32, s *tlsConn) bool {
	began := l.engine.Clock.Now()
	_, more := s.next()
	l.now = l.engine.Clock.Now()
	l.counters.TLSTime += uint64(l.now - began)
	if !l.transmitEncrypted(slot) {
		return false
	}
	if more {
		return l.clients[slot].flags&wantsOut == 0
	}
	s.next, s.stop = nil, nil
	if s.err != nil {
		l.end(slot, tlsReason(s.err))
		return false
	}
	l.counters.TLSHandshakes++
	l.established(slot)
	return l.tls.of[slot] == s && l.clients[slot].flags&wantsOut == 0
}

// unseal takes bytes of the socket.
func (l *loop) decrypt(slot uint32, p []byte) {
	w := &l.tls
	s := w.of[slot]
	w.in = p
	defer func() { w.in = nil }()
	if s.next != nil {
		l.handshake(slot, s)
	}
	for w.of[slot] == s && s.next == nil {
		n, err := s.conn.Read(w.plain)
		if len(w.out) > 0 && !l.transmitEncrypted(slot) { // the answer to a key update
			return
		}
		if n > 0 {
			l.transport(slot).received(l, slot, w.plain[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, errNothingYet):
			return
		case w.of[slot] != s:
			return
		case errors.Is(err, io.EOF): // its close_notify
			l.streamEnded(slot, io.EOF)
			return
		default:
			l.end(slot, tlsReason(err))
			return
		}
	}
}

// seal encrypts what is to be sent; the result is good until the next call.
func (l *loop) encrypt(slot uint32, p []byte) []byte {
	w := &l.tls
	// Into memory: an error would be that of the connection's state, which the
	// next read tells.
	w.of[slot].conn.Write(p)
	out := w.out
	w.out = w.out[:0]
	return out
}

// transmitSealed sends what the TLS layer has written by itself. False: the
// client is gone.
func (l *loop) transmitEncrypted(slot uint32) bool {
	out := l.tls.out
	l.tls.out = out[:0]
	return len(out) == 0 || l.transmit(slot, out)
}

// unsecure forgets a client's TLS side.
func (l *loop) dropTLS(slot uint32) {
	if s := l.tls.of[slot]; s != nil {
		l.tls.of[slot] = nil
		if s.stop != nil {
			s.stop()
			l.tls.out = l.tls.out[:0]
		}
	}
}

// secureReason finds the word for an error of crypto/tls.
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
