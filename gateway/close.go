package gateway

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// linger is the time a closed connection has to close its own side.
const linger = 5 * time.Second

// end closes a connection for reason, behind its queue. The client has the linger time to close its
// side.
func (s *shard) end(i uint32, c *conn, reason reasons.Close) { s.endSaying(i, c, reason, "") }

// endSaying is end with a detail besides the reason's word.
func (s *shard) endSaying(i uint32, c *conn, reason reasons.Close, detail string) {
	if (reason == reasons.CloseSlow || reason == reasons.CloseOverload) && c.out != 0 {
		// The client doesn't read its queue, so nothing behind it would arrive.
		s.queues.At(c.out).DropUnsent()
	}
	s.finish(i, c, reason, s.farewell(c, reason, detail, byeSpread))
}

// echoClose ends an open WebSocket at the client's request, echoing its code
// (RFC 6455, 5.5.1).
func (s *shard) echoClose(i uint32, c *conn, code ws.StatusCode) {
	if code == ws.StatusNoStatusRcvd {
		s.finish(i, c, reasons.CloseByClient, wsframe.AppendFrame(nil, ws.OpClose, nil))
		return
	}
	s.finish(i, c, reasons.CloseByClient, wsframe.AppendClose(nil, code, ""))
}

// open turns a connection into a client.
func (s *shard) open(c *conn, k kind, raw bool) {
	c.phase, c.kind = phaseOpen, k
	if raw {
		c.flags |= flagRaw
	}
	s.stats.clients[k]++
}

// Connections end at any moment, in the middle of work for them or for others: a send may find the
// peer gone, or the queue over its bound. So closing only marks the connection. It keeps its slot,
// descriptor and subscriptions until reap, which the loop calls at the end of a turn, and sends to
// it meanwhile are dropped. No caller has to check that a connection still exists after a call that
// may close it. Slots are reused only after that, so generations matter only to holders of a
// connection across turns: the kernel, other goroutines, and the shard's lists of connections to
// revisit.

// mark notes that a connection has ended, and counts why.
func (s *shard) mark(i uint32, c *conn, reason reasons.Close) {
	if c.phase >= phaseClosing {
		return
	}
	s.stats.closes[reason]++
	s.traceGone(i, c, reason)
	if c.phase == phaseOpen {
		s.stats.clients[c.kind]--
	}
	c.phase = phaseClosing
	s.marked = append(s.marked, i)
}

// reap removes closed connections from everything but the slab, and frees those that are cut off.
func (s *shard) reap() {
	s.submit() // while their descriptors are theirs
	for _, i := range s.marked {
		c := s.conns.at(i)
		s.unsubscribeAll(i, c)
		s.dropInput(i, c)
		s.freePoll(c)
		s.setGrant(c, nil)
		c.flags &^= flagWoken | flagEarly
	}
	s.marked = s.marked[:0]
	for _, i := range s.gone {
		s.free(i, s.conns.at(i))
	}
	s.gone = s.gone[:0]
}

// lastLinger is linger in a shutdown, so that the process ends within a second
// after drain.timeout.
const lastLinger = 500 * time.Millisecond

func (s *shard) lingerTime() time.Duration {
	if s.drain.reason == reasons.CloseDrain {
		return lastLinger
	}
	return linger
}

// finish closes a connection with its last bytes, behind its queue, and shuts down the write side
// after them.
func (s *shard) finish(i uint32, c *conn, reason reasons.Close, last ...[]byte) {
	if c.phase >= phaseClosing {
		return
	}
	s.mark(i, c, reason)
	s.wheel.Set(i, s.now+ticks(s.lingerTime()))
	c.flags |= flagEnding
	s.uncork(i, c)
	for _, b := range last {
		if len(b) > 0 {
			s.transmit(i, c, outgoing{b: b})
		}
	}
	if c.out == 0 {
		s.shutdown(i, c)
	}
}

// shutdown ends the stream to the client once all is sent.
func (s *shard) shutdown(i uint32, c *conn) {
	s.unbatch(c)
	if c.phase == phaseGone || c.out != 0 {
		return
	}
	if err := reactor.ShutdownWrite(int(c.fd)); err != nil || c.flags&flagHalf != 0 {
		s.drop(i, c) // nothing is left to be read from the client
	}
}

// lost closes a connection whose peer can't be reached any more.
func (s *shard) lost(i uint32, c *conn) { s.release(i, c, reasons.CloseReset) }

// release closes a connection at once.
func (s *shard) release(i uint32, c *conn, reason reasons.Close) {
	s.mark(i, c, reason)
	s.drop(i, c)
}

// drop cuts off a closed connection. Its queue is freed now, since others may have to be closed if
// that isn't enough.
func (s *shard) drop(i uint32, c *conn) {
	if c.phase != phaseGone {
		c.phase = phaseGone
		s.freeQueue(c)
		s.gone = append(s.gone, i)
	}
}

// free gives back all that a connection holds. Its slot may be used again.
func (s *shard) free(i uint32, c *conn) {
	s.wheel.Cancel(i)
	s.forgetAddress(i)
	s.rates.Clear(i)
	s.paces.Clear(i)
	delete(s.parked, i)
	s.pages.of.Clear(i)
	reactor.CloseFD(int(c.fd))
	s.srv.connections.Add(-1)
	s.conns.put(i)
}
