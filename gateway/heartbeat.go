package gateway

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// tick is the resolution of all deadlines of connections.
const tick = 100 * time.Millisecond

// wheelSize is the number of buckets of a shard's wheel: 51 s, so that the
// usual heartbeats and waits don't go round.
const wheelSize = 512

// beatsPerSlice is how many connections that are due are looked at before
// events are asked for again: about 500 us of pings.
const beatsPerSlice = 64

// ticks returns d in ticks, at least one.
func ticks(d time.Duration) uint32 {
	return max(1, uint32((d+tick-1)/tick))
}

// pingFrame is an unmasked ping without payload (RFC 6455, 5.5.2).
var pingFrame = []byte{0x80 | byte(ws.OpPing), 0}

// beat moves the shard's clock. The server's ticker posts it; at is when that
// was, and date the value for the Date header.
func (s *shard) beat(now uint32, at time.Time, date []byte) {
	if int32(now-s.now) > 0 {
		s.now = now
	}
	s.date = date
	s.wakeups.last = response{} // it has the old date
	s.stats.lag.observe(time.Since(at))
	s.drainStep()
	s.shed() // another shard may have brought all queues over their bound
	s.shedInputs()
	s.resumeAccept()
	s.closeRejected()
	s.goOnAll()
}

// eventsPerRound is how many sockets the kernel names at once.
const eventsPerRound = 512

// wakeUp has the clock right before the first event of a round is handled. After
// a stall the ticks of that time are still to come, and what begins now would
// begin in the past.
func (s *shard) wakeUp() {
	s.awake = true
	if now := s.srv.tickOf(time.Now()); int32(now-s.now) > 1 {
		s.now = now
	}
}

// settled reports whether deadlines may be judged. After a stall of the loop, as
// where the machine was suspended, the requests and pongs of that time still
// wait in the sockets: each of them is read first, or clients would be closed that
// did all that they had to.
func (s *shard) settled() bool {
	if s.stalled == 0 && s.now-s.wheel.Now() > 1 {
		// A round more for what the first one accepts.
		s.stalled = 2 + s.conns.used/eventsPerRound
	} else if s.stalled > 0 && s.loop.AllTold() {
		s.stalled--
	}
	return s.stalled == 0
}

// due does what the connection's deadline stands for.
func (s *shard) due(i uint32) {
	c := s.conns.at(i)
	if c.flags&flagDemoted != 0 && c.phase < phaseClosing {
		s.wheel.Set(i, s.now+1) // the bytes that it has sent may be the answer
		return
	}
	switch c.phase {
	case phaseProxy, phaseHead, phaseBody:
		if c.flags&flagHalf != 0 && c.phase == phaseHead && c.out == 0 {
			s.release(i, c, reasons.CloseByClient)
			return
		}
		s.headTimeout(i, c)
	case phaseOpen:
		if c.flags&flagEarly != 0 {
			s.endPatience(i, c)
			return
		}
		if s.expired(i, c) || s.aged(i, c) {
			return
		}
		switch c.kind {
		case kindWebSocket, kindEcho:
			s.heartbeat(i, c)
		case kindEvents:
			s.eventHeartbeat(i, c)
		case kindPoll:
			s.pollTimeout(i, c)
		}
	case phaseClosing:
		s.drop(i, c)
	}
}

// heartbeat pings a client that was silent for half an interval, or ends it
// when it didn't answer the last ping. The check for the answer takes nothing
// from the interval, so a connection keeps its place in it and all of them stay
// evenly spread.
func (s *shard) heartbeat(i uint32, c *conn) {
	interval := ticks(s.cfg.Heartbeat.Interval)
	timeout := ticks(s.cfg.Heartbeat.Timeout)
	switch {
	case c.flags&flagUnknown != 0:
		s.endSaying(i, c, reasons.CloseToken, tokenRefused(auth.ReasonMissing))
	case c.flags&flagPinged != 0:
		s.end(i, c, reasons.CloseTimeout)
	case c.flags&flagProbing != 0:
		c.flags &^= flagProbing
		s.schedule(i, c, s.now+max(1, interval-min(interval, timeout)))
	case s.now-c.heard < interval/2:
		s.schedule(i, c, s.now+interval)
	default:
		c.flags |= flagPinged | flagProbing
		s.schedule(i, c, s.now+timeout)
		s.stats.pings++
		s.sendBatched(i, c, outgoing{b: pingFrame})
	}
}

// hear notes a sign of life.
func (s *shard) hear(c *conn) {
	c.heard = s.now
	c.flags &^= flagPinged
}
