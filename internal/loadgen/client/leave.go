package client

import (
	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/reactor"
)

// leaves is a loop's part of closing clients: in a ramp downwards, by a cut, or
// all at the end of a run.
type leaves struct {
	l *loop
	course
	// cut: without a word, and only those with the moving flag.
	cut bool
}

// leaveTurn is how many clients one turn closes, about 2 ms.
const leaveTurn = 128

// leave has the loop close its clients politely. It runs on the loop's
// goroutine.
func (v *leaves) leave() {
	v.l.connects.active = false
	v.l.churn.active = false
	v.l.queue, v.l.recovering = nil, false
	v.leaveAll(false)
	v.l.ending = true
}

// leaveAll begins to close all clients, or to cut those with the moving flag.
func (v *leaves) leaveAll(cut bool) {
	v.course, v.cut = course{active: true, limit: uint32(len(v.l.clients))}, cut
}

func (v *leaves) leaveSlice() (more bool) {
	for k := 0; v.active && v.due(v.l.now); k++ {
		if k == leaveTurn {
			return true
		}
		slot := v.next
		v.next++
		if v.cut {
			v.resetClient(slot)
		} else {
			v.closeClient(slot)
		}
	}
	v.active = v.next < v.limit
	return false
}

// normalClosure is the payload of a close frame: 1000, RFC 6455 section 7.4.1.
var normalClosure = []byte{0x03, 0xe8}

// closeClient closes one client politely, or gives up its handshake.
func (v *leaves) closeClient(slot uint32) {
	c := &v.l.clients[slot]
	switch c.state {
	case connecting, opening, joining:
		v.l.end(slot, account.ReasonUnfinished)
		v.l.forget(slot)
	case gone:
		v.l.forget(slot)
	case ready, renewing:
		politely := c.state == ready
		c.flags |= leaving
		v.l.unmarkReady(slot)
		v.l.parting++
		c.state = closing
		// Only a WebSocket has something to say, and waits for the server to close.
		switch {
		case !politely || v.l.kind(slot) != plan.WebSocket || !v.l.sendFrame(slot, ws.OpClose, normalClosure):
			v.l.end(slot, "")
		case c.state == closing:
			v.l.scratch(slot).deadline = v.l.now + int64(CloseWait)
		}
	}
}

// resetClient resets the connection of a client that is to be cut.
func (v *leaves) resetClient(slot uint32) {
	c := &v.l.clients[slot]
	if c.flags&moving == 0 || !c.up() {
		return
	}
	v.l.counters.Cut++
	v.l.unmarkReady(slot)
	v.l.parting++
	c.flags |= leaving
	c.state = closing
	if c.fd >= 0 {
		reactor.SetLinger0(int(c.fd))
	}
	v.l.end(slot, "")
}

// lose books the end of a client that the run did not ask for, once.
func (l *loop) lose(slot uint32, why account.Reason) {
	c := &l.clients[slot]
	if c.flags&(leaving|booked) != 0 {
		return
	}
	c.flags |= booked
	if c.up() {
		l.unmarkReady(slot)
		if c.flags&slow != 0 && l.slowReaders.active {
			l.counters.SlowLost++
			l.tallies[account.SlowLosses].Add(why, 1)
			return
		}
		if a := l.at(slot); a != nil {
			a.Lost++
		}
		if l.cutByProxy(slot, why) {
			return
		}
		l.counters.Lost++
		l.tallies[account.Losses].Add(why, 1)
		return
	}
	// How long the handshake would have taken is unknown, but longer than this.
	if s := l.heldScratch(slot); s != nil && s.due > 0 && c.state < joining && (why == account.ReasonTimeout || why == account.ReasonTimedOut) {
		account.Record(l.recorder[account.OfHandshakeDue], l.now-s.due)
	}
	if l.isAway(slot) {
		l.counters.ProxyRetried++
		l.tallies[account.Retries].Add(why, 1)
	} else if l.knows(slot) {
		l.counters.Retried++
		l.tallies[account.Retries].Add(why, 1)
	} else {
		l.counters.Failed++
		if a := l.at(slot); a != nil {
			a.Failed++
		}
		l.tallies[account.Failures].Add(why, 1)
	}
	if c.state < joining {
		l.inFlight--
	}
}

// end closes a client's socket and releases its scratch.
func (l *loop) end(slot uint32, why account.Reason) {
	c := &l.clients[slot]
	if c.state == gone {
		return
	}
	l.lose(slot, why)
	if c.flags&leaving != 0 {
		l.parting--
		l.counters.Closed++
	}
	if c.state >= joining {
		l.counters.Open--
	}
	l.openAgain(slot)
	l.closeSocket(slot)
	c.state = gone
}

// lives reports whether a client still has the connection of that generation.
func (l *loop) lives(slot, gen uint32) bool {
	c := &l.clients[slot]
	return c.gen == gen && c.state != gone
}

// closeAll closes the open sockets, after the reactor has stopped.
func (l *loop) closeAll() {
	for slot := range l.clients {
		if c := &l.clients[slot]; c.state != waiting && c.state != gone && c.fd >= 0 {
			l.closeSocket(uint32(slot))
			c.state = gone
		}
	}
}

// markReady books that a client has become ready; again: not for the first time.
func (l *loop) markReady(slot uint32, again bool) {
	l.up++
	if l.clients[slot].flags&moving != 0 {
		l.moversUp++
	}
	switch {
	case l.isAway(slot):
		l.counters.ProxyReturned++
		l.forget(slot)
	case again:
		l.counters.Returned++
	}
}

// unmarkReady books that a ready client no longer is.
func (l *loop) unmarkReady(slot uint32) {
	l.unhear(slot)
	l.up--
	if l.clients[slot].flags&moving != 0 {
		l.moversUp--
	}
}
