package gateway

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// linger is how long a connection that was told goodbye may take to close
// its side.
const linger = 5 * time.Second

// end says goodbye to a client for reason, behind what is queued. The client has
// the linger time to close its side.
func (s *shard) end(i uint32, c *conn, reason CloseReason) { s.endSaying(i, c, reason, "") }

// endSaying is end with more to say than the reason's word.
func (s *shard) endSaying(i uint32, c *conn, reason CloseReason, detail string) {
	if (reason == CloseSlow || reason == CloseOverload) && c.out != 0 {
		// Nothing can reach the client before its queue, which is what it
		// doesn't read.
		s.queues.at(c.out).dropUnsent()
	}
	s.endWith(i, c, reason, s.farewell(c, reason, detail, byeSpread))
}

// endWith is end with last bytes of the caller's.
func (s *shard) endWith(i uint32, c *conn, reason CloseReason, frame []byte) {
	s.leave(i, c, reason)
	s.finish(i, c, frame)
}

// answerClose ends an open WebSocket at the client's request, echoing its code
// (RFC 6455, 5.5.1).
func (s *shard) answerClose(i uint32, c *conn, code ws.StatusCode) {
	if code == ws.StatusNoStatusRcvd {
		s.endWith(i, c, CloseByClient, wsframe.AppendFrame(nil, ws.OpClose, nil))
		return
	}
	s.endWith(i, c, CloseByClient, wsframe.AppendClose(nil, code, ""))
}

// open makes a client of a connection.
func (s *shard) open(c *conn, k kind, raw bool) {
	c.phase, c.kind = phaseOpen, k
	if raw {
		c.flags |= flagRaw
	}
	s.stats.clients[k]++
}

// leave takes a connection out of everything but the slab and counts why.
func (s *shard) leave(i uint32, c *conn, reason CloseReason) {
	s.stats.closes[reason]++
	s.traceGone(i, c, reason)
	if c.phase == phaseOpen {
		s.stats.clients[c.kind]--
	}
	s.unsubscribeAll(i, c)
	s.freeInput(c)
	s.freePoll(c)
	s.setGrant(c, nil)
	if c.flags&flagUnknown != 0 {
		s.known(i)
	}
	c.flags &^= flagWoken | flagEarly
	c.phase = phaseClosing
}

// lastLinger is linger in a shutdown, so that the process ends within a second
// after drain.timeout.
const lastLinger = 500 * time.Millisecond

func (s *shard) lingerTime() time.Duration {
	if s.drain.reason == CloseDrain {
		return lastLinger
	}
	return linger
}

// finish sends the last bytes of a connection that has left and shuts its
// write side down behind them.
func (s *shard) finish(i uint32, c *conn, last ...[]byte) {
	s.wheel.Set(i, s.now+ticks(s.lingerTime()))
	c.flags |= flagEnding
	gen := c.gen
	s.uncork(i, c)
	if c.gen == gen {
		s.sendEach(i, c, last)
	}
	if c.gen == gen && c.out == 0 {
		s.shutdown(i, c)
	}
}

// shutdown ends the stream towards the client once all is sent.
func (s *shard) shutdown(i uint32, c *conn) {
	if !s.unbatch(c) || c.out != 0 {
		return
	}
	if err := reactor.ShutdownWrite(int(c.fd)); err != nil || c.flags&flagHalf != 0 {
		s.free(i, c) // nothing of the client's is left to be read
	}
}

// lost ends a connection that can't be told anything any more.
func (s *shard) lost(i uint32, c *conn) { s.release(i, c, CloseReset) }

// release ends a connection at once.
func (s *shard) release(i uint32, c *conn, reason CloseReason) {
	if c.phase != phaseClosing {
		s.leave(i, c, reason)
	}
	s.free(i, c)
}

// free gives back all that a connection holds. Its slot may be used again.
func (s *shard) free(i uint32, c *conn) {
	if !s.unbatch(c) {
		return
	}
	if s.cork.slot == i {
		s.cork.slot = 0
	}
	s.wheel.Cancel(i)
	s.freeQueue(c)
	s.moveAway(i)
	s.talkers.clear(i)
	s.paces.clear(i)
	delete(s.parked, i)
	s.pages.of.clear(i)
	reactor.CloseFD(int(c.fd))
	s.srv.connections.Add(-1)
	s.conns.put(i)
}
