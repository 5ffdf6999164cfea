package loadgen

import (
	"time"

	"pushgate/internal/reactor"
)

// leaves is a loop's part of the end of a run.
type leaves struct {
	active bool
	next   uint32
}

// leaveTurn is how many clients one turn closes, about 2 ms.
const leaveTurn = 128

// leave has the loop close its clients politely. It runs on the loop's
// goroutine.
func (l *loop) leave() {
	l.connects.active = false
	l.leaves = leaves{active: true}
}

func (l *loop) leaveSlice() (more bool) {
	if !l.leaves.active {
		return false
	}
	for range leaveTurn {
		if int(l.leaves.next) == len(l.clients) {
			l.leaves.active = false
			return false
		}
		slot := l.leaves.next
		l.leaves.next++
		c := &l.clients[slot]
		switch c.state {
		case connecting, opening, joining:
			l.end(slot, ReasonUnfinished)
		case ready:
			c.flags |= leaving
			c.state = closing
			if !l.transport.leave(l, slot) {
				l.end(slot, "")
			}
		}
	}
	return true
}

// lose books the end of a client that the run did not ask for, once.
func (l *loop) lose(slot uint32, why Reason) {
	c := &l.clients[slot]
	if c.flags&(leaving|booked) != 0 {
		return
	}
	c.flags |= booked
	if c.state == ready {
		l.counters.Lost++
		l.losses.add(why, 1)
		return
	}
	l.counters.Failed++
	l.failures.add(why, 1)
	if c.state < joining {
		l.connects.inFlight--
	}
}

// end closes a client's socket and frees what it held.
func (l *loop) end(slot uint32, why Reason) {
	c := &l.clients[slot]
	if c.state == gone {
		return
	}
	l.lose(slot, why)
	if c.state >= joining {
		l.counters.Open--
	}
	if c.fd >= 0 {
		reactor.CloseFD(int(c.fd))
	}
	l.giveBack(slot)
	c.fd, c.state = -1, gone
}

// closeAll closes what is still open, after the reactor has stopped.
func (l *loop) closeAll() {
	for slot := range l.clients {
		if c := &l.clients[slot]; c.state != waiting && c.state != gone {
			reactor.CloseFD(int(c.fd))
			c.fd, c.state = -1, gone
		}
	}
}

// timeSince is the time between two readings of the engine's clock.
func timeSince(now, then int64) time.Duration { return time.Duration(now - then) }
