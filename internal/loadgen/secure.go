package loadgen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"net"
	"net/url"
	"strings"
	"time"
)

// secured is the TLS side of one client: a tls.Conn over memory, which the loop
// fills from the socket and empties to it. An idle client has no goroutine. While
// the handshake goes on it is a coroutine of the loop, so that its time is the
// loop's: crypto/tls can't be resumed in a handshake, but may be asked to read
// again after an error that is temporary (crypto/tls, readRecordOrCCS).
type secured struct {
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
type wires struct {
	config *tls.Config
	of     []*secured // by slot; nil before the handshake begins
	in     []byte     // came from the socket and was not read yet
	out    []byte     // to be sent
	plain  []byte     // room for what was read
}

// errNothingYet is how a read says that the socket has no more for now.
var errNothingYet net.Error = nothingYet{}

type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing yet" }
func (nothingYet) Timeout() bool   { return true }
func (nothingYet) Temporary() bool { return true }

// Read implements net.Conn for the tls.Conn.
func (s *secured) Read(p []byte) (int, error) {
	w := &s.loop.wires
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

func (s *secured) Write(p []byte) (int, error) {
	s.loop.wires.out = append(s.loop.wires.out, p...)
	return len(p), nil
}

func (s *secured) Close() error                     { return nil }
func (s *secured) LocalAddr() net.Addr              { return nil }
func (s *secured) RemoteAddr() net.Addr             { return nil }
func (s *secured) SetDeadline(time.Time) error      { return nil }
func (s *secured) SetReadDeadline(time.Time) error  { return nil }
func (s *secured) SetWriteDeadline(time.Time) error { return nil }

// secure begins the TLS handshake of a client whose connection stands.
func (l *loop) secure(slot uint32) {
	s := &secured{loop: l}
	s.conn = tls.Client(s, l.wires.config)
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.wait = yield
		s.err = s.conn.Handshake()
		s.wait = nil
	})
	l.wires.of[slot] = s
	if l.shake(slot, s) {
		l.watch(slot, l.reads(slot))
	}
}

// shake goes on with a handshake. False: the client is gone, or bytes wait for
// room.
func (l *loop) shake(slot uint32, s *secured) bool {
	began := l.engine.clock.now()
	_, more := s.next()
	l.now = l.engine.clock.now()
	l.counters.TLSTime += uint64(l.now - began)
	if !l.transmitSealed(slot) {
		return false
	}
	if more {
		return l.clients[slot].flags&wantsOut == 0
	}
	s.next, s.stop = nil, nil
	if s.err != nil {
		l.end(slot, secureReason(s.err))
		return false
	}
	l.counters.TLSHandshakes++
	l.established(slot)
	return l.wires.of[slot] == s && l.clients[slot].flags&wantsOut == 0
}

// unseal takes bytes of the socket.
func (l *loop) unseal(slot uint32, p []byte) {
	w := &l.wires
	s := w.of[slot]
	w.in = p
	defer func() { w.in = nil }()
	if s.next != nil {
		l.shake(slot, s)
	}
	for w.of[slot] == s && s.next == nil {
		n, err := s.conn.Read(w.plain)
		if len(w.out) > 0 && !l.transmitSealed(slot) { // the answer to a key update
			return
		}
		if n > 0 {
			l.speaks(slot).received(l, slot, w.plain[:n])
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
			l.end(slot, secureReason(err))
			return
		}
	}
}

// seal encrypts what is to be sent; the result is good until the next call.
func (l *loop) seal(slot uint32, p []byte) []byte {
	w := &l.wires
	// Into memory: an error would be that of the connection's state, which the
	// next read tells.
	w.of[slot].conn.Write(p)
	out := w.out
	w.out = w.out[:0]
	return out
}

// transmitSealed sends what the TLS layer has written by itself. False: the
// client is gone.
func (l *loop) transmitSealed(slot uint32) bool {
	out := l.wires.out
	l.wires.out = out[:0]
	return len(out) == 0 || l.transmit(slot, out)
}

// unsecure forgets a client's TLS side.
func (l *loop) unsecure(slot uint32) {
	if s := l.wires.of[slot]; s != nil {
		l.wires.of[slot] = nil
		if s.stop != nil {
			s.stop()
			l.wires.out = l.wires.out[:0]
		}
	}
}

const (
	reasonTLS           = "TLS: "
	ReasonNotTLS Reason = reasonTLS + "the answer is not TLS"
	ReasonIssuer Reason = reasonTLS + "certificate of an unknown authority"
	ReasonName   Reason = reasonTLS + "certificate for another name"
)

// secureReason finds the word for an error of crypto/tls.
func secureReason(err error) Reason {
	var (
		header  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &header):
		return ReasonNotTLS
	case errors.As(err, &unknown):
		return ReasonIssuer
	case errors.As(err, &name):
		return ReasonName
	}
	text := strings.TrimPrefix(err.Error(), "tls: ")
	return foreignReason(reasonTLS, []byte(strings.TrimPrefix(text, "failed to verify certificate: ")))
}

// serverName is whose certificate is asked for: the name of --url, or that of a
// Host field in its place.
func (p *plan) serverName() string {
	for _, field := range p.Headers {
		if name, host, _ := strings.Cut(field, ":"); strings.EqualFold(name, "host") {
			u := url.URL{Host: strings.TrimSpace(host)}
			return u.Hostname()
		}
	}
	return p.target.name
}

// secureConfig says how the target's certificate is checked. Nil: the target is
// not TLS.
func (p *plan) secureConfig(u *usage) *tls.Config {
	c, err := p.checkedBy()
	switch secure := p.target.Secure || p.publishesSecurely(); {
	case !secure && p.CA != "":
		u.add("--ca", p.CA, "only wss:// and https:// have certificates")
	case !secure && p.Insecure:
		u.add("--insecure", "", "only wss:// and https:// have certificates")
	case p.CA != "" && p.Insecure:
		u.add("--insecure", "", "checks no certificate; leave out --ca, or this")
	case err != nil:
		u.add("--ca", p.CA, "%v", err)
	}
	if !p.target.Secure || err != nil {
		return nil
	}
	c.ServerName, c.NextProtos = p.serverName(), []string{"http/1.1"}
	return c
}

// checkedBy reads --ca and --insecure, once.
func (c *Config) checkedBy() (*tls.Config, error) {
	t := &tls.Config{InsecureSkipVerify: c.Insecure}
	if c.CA == "" {
		return t, nil
	}
	if c.caData == nil {
		var err error
		if c.caData, err = readKey(c.CA); err != nil {
			return nil, err
		}
	}
	if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(c.caData) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return t, nil
}
