package conn

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

const (
	// Linger is the time a closed connection has to close its own side.
	Linger = 5 * time.Second
	// lastLinger is Linger in a shutdown, so that the process ends within a second after the last
	// client was asked to leave.
	lastLinger = 500 * time.Millisecond
)

// Connections end at any moment, in the middle of work for them or for others: a send may find the
// peer gone, or the queue over its bound. So closing only marks the connection. It keeps its slot,
// descriptor and subscriptions until Reap, which the loop calls at the end of a turn, and sends to
// it meanwhile are dropped. No caller has to check that a connection still exists after a call that
// may close it. Slots are reused only after that, so generations matter only to holders of a
// connection across turns: the kernel, other goroutines, and the loop's lists of connections to
// revisit.

// mark notes that a connection has ended, and counts why.
func (s *Set) mark(i uint32, c *socket, reason reasons.Close) {
	if c.state != stateOpen {
		return
	}
	s.stats.Closes[reason]++
	c.state = stateClosing
	s.Admission.dequeue(c)
	s.marked = append(s.marked, i)
	s.handler.Closed(i, reason)
}

// Reap ends a turn: it removes closed connections from everything but the slots, and frees those
// that are cut off.
func (s *Set) Reap() {
	s.Out.Submit() // while their descriptors are theirs
	for _, i := range s.marked {
		s.handler.Reaped(i)
		s.Secure.reap(i)
		s.Input.Free(i)
	}
	s.marked = s.marked[:0]
	for _, i := range s.gone {
		s.free(i, s.Slots.at(i))
	}
	s.gone = s.gone[:0]
}

// Hurry shortens the life of closed connections, for a shutdown.
func (s *Set) Hurry() { s.hurried = true }

// LingerEnd returns the tick up to which a connection that is closed now may close its own side.
func (s *Set) LingerEnd() uint32 {
	if s.hurried {
		return s.Clock.now + Ticks(lastLinger)
	}
	return s.Clock.now + Ticks(Linger)
}

// lingerEnd is LingerEnd for a connection: a rejected client has its place for no longer than it needs.
func (s *Set) lingerEnd(c *socket) uint32 {
	if c.flags&flagRejected != 0 {
		return s.Clock.now + MuteTicks
	}
	return s.LingerEnd()
}

// Finish closes a connection with its last bytes, behind its queue, and shuts down the write side
// after them. The client has the linger time to close its own side.
func (s *Set) Finish(i uint32, reason reasons.Close, last ...[]byte) {
	c := s.Slots.at(i)
	if c.state != stateOpen {
		return
	}
	s.mark(i, c, reason)
	s.Clock.wheel.Set(i, s.lingerEnd(c))
	c.flags |= flagEnding
	s.Out.Uncork(i)
	s.Out.transmitLast(i, c, last)
	if c.out == 0 {
		s.shutdown(i, c)
	}
}

// shutdown ends the stream to the client once all is sent.
func (s *Set) shutdown(i uint32, c *socket) {
	s.Out.unbatch(c)
	if c.state == stateGone || c.out != 0 || !s.Secure.notify(i, c) {
		return
	}
	if err := reactor.ShutdownWrite(int(c.fd)); err != nil || c.flags&flagHalf != 0 {
		s.drop(i, c) // nothing is left to be read from the client
	}
}

// Release closes a connection at once.
func (s *Set) Release(i uint32, reason reasons.Close) { s.release(i, s.Slots.at(i), reason) }

// lost closes a connection whose peer can't be reached any more.
func (s *Set) lost(i uint32, c *socket) { s.release(i, c, reasons.CloseReset) }

func (s *Set) release(i uint32, c *socket, reason reasons.Close) {
	s.mark(i, c, reason)
	s.drop(i, c)
}

// drop cuts off a closed connection. Its queue is freed now, since others may have to be closed if
// that isn't enough.
func (s *Set) drop(i uint32, c *socket) {
	if c.state != stateGone {
		c.state = stateGone
		s.Out.freeQueue(c)
		s.gone = append(s.gone, i)
	}
}

// free gives back all that a connection holds. Its slot may be used again.
func (s *Set) free(i uint32, c *socket) {
	s.Clock.wheel.Cancel(i)
	s.Addrs.forget(i)
	s.Secure.forget(i, c)
	reactor.CloseFD(int(c.fd))
	if c.flags&flagRejected != 0 {
		s.Acceptor.forgetTLS(i)
	} else {
		s.shared.Connections.Add(-1)
	}
	s.Slots.put(i)
}
