package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// rejected holds a loop's sockets of rejected clients while they read their response: a close
// with unread input makes the kernel reset the connection, and some clients then lose the response.
// They have no slot, no place in the epoll and no deadline of their own, which makes rejection
// cheap: nearly all of its cost is the kernel's, for accept, send and close; admitting a client
// costs 1.4 times as much without a token, and 3.4 to 8 times with a signed one
// (TestAttackFloodIsCheap).
//
// They get their response once their request has arrived, which is checked at each tick and, in a
// flood, at each later rejection. A health check is served however full the gateway is, or a
// supervisor would kill a gateway that works at its limit; a page can read its response; and an
// EventSource gets a stream, as it would never retry after a status. Without a request they get a
// response after MuteTicks, or once maxMute later ones wait too.
//
// Over TLS a response would take a handshake, a hundred times the cost of all the rest: the client
// gets an alert in place of it, once its hello has begun to arrive.
type rejected struct {
	ring  []rejectedSocket
	first int // index of the oldest
	n     int
	mute  int // newest sockets, before which all have a response
}

type rejectedSocket struct {
	reason   reasons.Reject // empty: its request was served
	fd       int32
	since    uint32 // tick
	answered bool
	secure   bool // it was to begin with a TLS handshake
}

const (
	// maxRejected is the most rejected sockets of one loop.
	maxRejected = 1024
	// maxMute is the most of them without a response. A tick checks each of them with a system
	// call, half a millisecond in all; the others have time to read their response.
	maxMute = maxRejected / 2
	// lookAfter is the number of the newest that only a tick checks: their requests are in flight.
	lookAfter = 16
	// MuteTicks is how long each may wait for its request: more than a phone's round trip.
	MuteTicks = 5
	// RejectTicks is how long each is kept if there is room.
	RejectTicks = 10
)

// alertRejected is the alert for rejected clients: a condition that isn't their fault (RFC 8446, 6.2).
var alertRejected = tlsrecord.AppendPlainAlert(nil, tlsrecord.AlertInternalError)

// reject keeps an accepted socket that gets no connection until it has its response.
func (l *Acceptor) reject(fd int, reason reasons.Reject, secure bool) {
	a := &l.rejected
	if a.ring == nil {
		a.ring = make([]rejectedSocket, maxRejected)
	}
	for room := l.rejectRoom(); a.n > 0 && a.n >= room; {
		l.closeOldest()
	}
	a.n++
	*a.at(a.n - 1) = rejectedSocket{reason: reason, fd: int32(fd), since: l.set.Clock.now, secure: secure}
	a.mute++
	for k := a.n - a.mute; k < min(a.n-lookAfter, a.n-a.mute+2); k++ {
		l.respondRejected(a.at(k), a.mute > maxMute)
	}
	a.skipAnswered()
}

// rejectRoom is the number of sockets that may be kept here: the loop's share of a quarter of the
// descriptors not used by clients.
func (l *Acceptor) rejectRoom() int {
	free := l.set.options.Descriptors - l.set.shared.Connections.Load()
	return int(min(maxRejected, free/int64(4*len(l.set.shared.sets))))
}

// at returns the k-th oldest socket.
func (a *rejected) at(k int) *rejectedSocket { return &a.ring[(a.first+k)%len(a.ring)] }

// skipAnswered skips the sockets with a response.
func (a *rejected) skipAnswered() {
	for a.mute > 0 && a.at(a.n-a.mute).answered {
		a.mute--
	}
}

// respondRejected sends a socket its response if its request has arrived or must is set.
func (l *Acceptor) respondRejected(t *rejectedSocket, must bool) {
	if t.answered {
		return
	}
	n, err := reactor.Peek(int(t.fd), l.set.rbuf[:])
	if err == reactor.ErrAgain && !must {
		return
	}
	if err != nil {
		n, must = 0, true
	}
	if t.secure {
		n, must = 0, true // the hello says nothing of a request
	}
	answer, served := l.decline(l.set.rbuf[:n], t.reason, must)
	if answer == nil {
		return
	}
	if t.secure {
		answer = alertRejected
	}
	if t.answered = true; served {
		t.reason = ""
	}
	reactor.WriteLast(int(t.fd), answer)
}

// decline returns the handler's response to a rejected client, whose bytes so far are data.
func (l *Acceptor) decline(data []byte, reason reasons.Reject, must bool) (answer []byte, served bool) {
	if p := l.set.options.ProxyProtocol; p != proxy.Off {
		if _, n, err := proxy.Parse(data, p); err == nil {
			data = data[n:]
		}
	}
	return l.set.handler.Decline(data, reason, must)
}

// closeRejected responds to the sockets whose request has arrived, and closes those whose time is
// up.
func (l *Acceptor) closeRejected() {
	a := &l.rejected
	for k := a.n - a.mute; k < a.n && a.at(k).since != l.set.Clock.now; k++ {
		l.respondRejected(a.at(k), l.set.Clock.now-a.at(k).since >= MuteTicks)
	}
	a.skipAnswered()
	for a.n > 0 && l.set.Clock.now-a.ring[a.first].since >= RejectTicks {
		l.closeOldest()
	}
}

// closeAllRejected makes room when descriptors run out before the bound is reached: these sockets
// have a response, the next ones would get none.
func (l *Acceptor) closeAllRejected() {
	for l.rejected.n > 0 {
		l.closeOldest()
	}
}

// closeOldest closes the socket that has waited longest.
func (l *Acceptor) closeOldest() {
	a := &l.rejected
	l.respondRejected(a.at(0), true)
	a.mute = min(a.mute, a.n-1)
	fd, why := int(a.ring[a.first].fd), reasons.CloseRejected
	if a.ring[a.first].reason == "" {
		why = reasons.CloseAnswered
	}
	a.first = (a.first + 1) % len(a.ring)
	a.n--
	l.set.stats.Closes[why]++
	n, err := reactor.Read(fd, l.set.rbuf[:]) // unread input would make the close a reset
	if err == nil {
		l.set.stats.BytesIn += uint64(n)
	}
	reactor.CloseFD(fd)
}
