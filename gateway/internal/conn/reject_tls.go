package conn

import (
	"net/netip"

	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/internal/reactor"
)

// A client that is rejected on a TLS listener can read its response only after a handshake, which
// costs as much as for one that is admitted. So a few at a time get a slot for it, beside the
// connections that are counted: a health check is served and a page learns when to come back, however
// full the gateway is. In a flood, the others are closed at once. A rejected client's time runs from
// its rejection, as in the clear: no step of its handshake prolongs it, and once it has its response
// its place is soon free.

const (
	// maxRejectedTLS is the most rejected clients of a loop that are in a handshake or wait for their
	// response.
	maxRejectedTLS = 64
	// rejectedTLSPerSecond is how many rejected clients of all loops may begin a handshake in a second:
	// a twentieth of a CPU's time, at 0.5 ms each. Otherwise a flood could have as many computed as the
	// tokens allow, each of them for a refusal.
	rejectedTLSPerSecond = 100
)

// mayHandshake reports whether one more rejected client gets a handshake, and charges for it.
func (l *Acceptor) mayHandshake() bool {
	return len(l.rejectedTLS) < min(maxRejectedTLS, l.rejectRoom()) && l.set.Admission.live == 0 &&
		l.set.shared.rejectedTLS.Take(limit.PerSecond(rejectedTLSPerSecond, 0), l.set.shared.Uptime())
}

// rejectTLS keeps an accepted socket that gets no connection until it has its response over TLS.
func (l *Acceptor) rejectTLS(fd int, peer netip.AddrPort, reason reasons.Reject) {
	if !l.mayHandshake() {
		l.set.handler.Decline(nil, reason, true) // counts it
		l.set.stats.Closes[reasons.CloseRejected]++
		reactor.CloseFD(fd)
		return
	}
	i, c := l.set.Slots.take()
	c.fd, c.heard, c.born, c.state = int32(fd), l.set.Clock.now, l.set.Clock.now, stateOpen
	c.flags = flagSilent | flagSecure | flagShaking | flagRejected
	if o := l.set.options; o.ProxyProtocol != proxy.Off && o.Trusted.Contains(peer.Addr()) {
		c.flags |= flagUnnamed
	}
	l.noteRejectedTLS(i, reason)
	l.set.handler.Accepted(i)
	l.begin(i, c)
	l.set.Clock.Forward(i, l.set.Clock.now+RejectTicks)
}

// rejectNamed rejects a connection of a TLS listener, before its handshake, because of the client
// that a proxy has named. Its slot becomes one of the rejected clients'.
func (l *Acceptor) rejectNamed(i uint32, c *socket, reason reasons.Reject) {
	if !l.mayHandshake() {
		l.set.handler.Decline(nil, reason, true) // counts it
		l.set.release(i, c, reasons.CloseRejected)
		return
	}
	l.set.shared.Connections.Add(-1)
	c.flags |= flagRejected
	l.noteRejectedTLS(i, reason)
	l.set.Clock.Forward(i, l.set.Clock.now+RejectTicks)
}

// noteRejectedTLS notes that a slot is a rejected client's.
func (l *Acceptor) noteRejectedTLS(i uint32, reason reasons.Reject) {
	if l.rejectedTLS == nil {
		l.rejectedTLS = make(map[uint32]reasons.Reject)
	}
	l.rejectedTLS[i] = reason
}

// respondTLS takes the request of a rejected client as far as it has come, and responds once it is
// whole or must is set.
func (l *Acceptor) respondTLS(i uint32, p []byte, must bool) {
	if len(p) > 0 {
		p = l.set.Input.Keep(i, p, 0)
	} else {
		p = l.set.Input.Kept(i)
	}
	response, served := l.set.handler.Decline(p, l.rejectedTLS[i], must || len(p) >= ReadBuffer)
	if response == nil {
		return
	}
	l.rejectedTLS[i] = "" // counted
	reason := reasons.CloseRejected
	if served {
		reason = reasons.CloseAnswered
	}
	l.set.Finish(i, reason, response)
}

// RejectedTLS returns the number of rejected clients that have a slot.
func (l *Acceptor) RejectedTLS() int { return len(l.rejectedTLS) }

// forgetTLS forgets a rejected client. It counts one that has left before it was told.
func (l *Acceptor) forgetTLS(i uint32) {
	if reason := l.rejectedTLS[i]; reason != "" {
		l.set.handler.Decline(nil, reason, true)
	}
	delete(l.rejectedTLS, i)
}
