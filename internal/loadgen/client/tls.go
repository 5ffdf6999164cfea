package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsclient"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// secure is a loop's part that speaks TLS. Between two reads a client keeps the start of an
// incomplete record in its scratch.
type secure struct {
	l     *loop
	conns *tlsclient.Conns // by slot; nil: the target is not TLS
}

// startTLS begins the TLS handshake of a client whose connection stands.
func (t *secure) startTLS(slot uint32) {
	t.handshake(slot, nil)
	if t.handshaking(slot) && t.l.clients[slot].flags&wantsOut == 0 {
		t.l.watch(slot, t.l.reads(slot))
	}
}

// handshaking reports whether a client is in its TLS handshake.
func (t *secure) handshaking(slot uint32) bool { return t.conns != nil && t.conns.Handshaking(slot) }

// handshake goes on with a handshake. True: it is done and the client still there; rest came
// behind the handshake.
func (t *secure) handshake(slot uint32, p []byte) (rest []byte, done bool) {
	began := t.l.engine.Clock.Now()
	send, rest, done, err := t.conns.Handshake(slot, p)
	t.l.now = t.l.engine.Clock.Now()
	t.l.counters.TLSTime += uint64(t.l.now - began)
	switch {
	case err != nil:
		t.giveUp(slot, send, err)
		return nil, false
	case len(send) > 0 && !t.l.transmit(slot, send), !done:
		return nil, false
	}
	t.l.counters.TLSHandshakes++
	gen := t.l.clients[slot].gen
	t.l.established(slot)
	return rest, t.l.lives(slot, gen)
}

// decrypt takes bytes of the socket, and changes them.
func (t *secure) decrypt(slot uint32, p []byte) {
	if t.handshaking(slot) {
		var done bool
		if p, done = t.handshake(slot, p); !done {
			return
		}
	}
	gen := t.l.clients[slot].gen
	data, rest, err := t.conns.Open(slot, p)
	if len(data) > 0 {
		t.l.transport(slot).received(t.l, slot, data)
		if !t.l.lives(slot, gen) {
			return
		}
	}
	switch {
	case err == io.EOF: // its close_notify
		t.l.streamEnded(slot, io.EOF)
	case err != nil:
		t.giveUp(slot, t.conns.AlertFor(slot, err), err)
	case !t.update(slot):
	case len(rest) > 0:
		s := t.l.scratch(slot)
		s.sealed = append(s.sealed, rest...)
	default:
		t.l.tidy(slot)
	}
}

// update answers a key update that asks for one. False: the client is gone.
func (t *secure) update(slot uint32) bool {
	owed, err := t.conns.Owed(slot)
	if err != nil {
		t.l.end(slot, tlsReason(err))
		return false
	}
	return len(owed) == 0 || t.l.transmit(slot, owed)
}

// giveUp ends a client after a fault, having told the server of it where the kernel takes the
// alert.
func (t *secure) giveUp(slot uint32, alert []byte, fault error) {
	if c := &t.l.clients[slot]; len(alert) > 0 && c.flags&wantsOut == 0 {
		reactor.Write(int(c.fd), alert)
	}
	t.l.end(slot, tlsReason(fault))
}

// tlsReason finds the word for an error of TLS. An alert after the handshake has the same one as
// during it.
func tlsReason(err error) account.Reason {
	var (
		header  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		theirs  tlsrecord.PeerAlert
		ours    tlsrecord.Alert
	)
	switch {
	case errors.As(err, &header):
		return account.ReasonNotTLS
	case errors.As(err, &unknown):
		return account.ReasonIssuer
	case errors.As(err, &name):
		return account.ReasonName
	case errors.As(err, &theirs):
		err = &net.OpError{Op: "remote error", Err: tls.AlertError(theirs)}
	case errors.As(err, &ours):
		err = &net.OpError{Op: "local error", Err: tls.AlertError(ours)}
	}
	text := strings.TrimPrefix(err.Error(), "tls: ")
	return account.TextReason(account.ReasonTLS, []byte(strings.TrimPrefix(text, "failed to verify certificate: ")))
}
