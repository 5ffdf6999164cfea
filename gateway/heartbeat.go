package gateway

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// tick is the resolution of all connection deadlines.
const tick = 100 * time.Millisecond

// wheelSize is the number of buckets of a shard's wheel: 51 s, so that the usual heartbeats and
// waits fit into one turn.
const wheelSize = 512

// beatsPerSlice is the number of due connections handled before the next poll for events: about 500
// us of pings.
const beatsPerSlice = 64

// ticks returns d in ticks, at least one.
func ticks(d time.Duration) uint32 {
	return max(1, uint32((d+tick-1)/tick))
}

// pingFrame is an unmasked ping without payload (RFC 6455, 5.5.2).
var pingFrame = []byte{0x80 | byte(ws.OpPing), 0}

// beat advances the shard's clock. The server's ticker posts it; at is the time of the post, and
// date the value of the Date header.
func (s *shard) beat(now uint32, at time.Time, date []byte) {
	if int32(now-s.now) > 0 {
		s.now = now
	}
	s.date = date
	s.wakeups.last = response{} // it has the old date
	s.stats.lag.observe(time.Since(at))
	s.drainStep()
	s.shed() // another shard may have pushed the total over its bound
	s.shedInputs()
	s.resumeAccept()
	s.closeRejected()
	s.goOnAll()
}

// eventsPerRound is the number of sockets that the kernel reports at once.
const eventsPerRound = 512

// wakeUp sets the clock before the first event of a round is handled. After a stall its ticks are
// still pending, and new deadlines would start in the past.
func (s *shard) wakeUp() {
	s.awake = true
	if now := s.srv.tickOf(time.Now()); int32(now-s.now) > 1 {
		s.now = now
	}
}

// settled reports whether deadlines may be enforced. After a stall of the loop, as when the machine
// was suspended, the requests and pongs of that time are still in the sockets: each socket is read
// first, or clients that met their deadlines would be closed.
func (s *shard) settled() bool {
	if s.stalled == 0 && s.now-s.wheel.Now() > 1 {
		// One more round for newly accepted connections.
		s.stalled = 2 + s.conns.used/eventsPerRound
	} else if s.stalled > 0 && s.loop.AllTold() {
		s.stalled--
	}
	return s.stalled == 0
}

// due handles the expiry of the connection's deadline.
func (s *shard) due(i uint32) {
	c := s.conns.at(i)
	if c.flags&flagDemoted != 0 && c.phase < phaseClosing {
		s.wheel.Set(i, s.now+1) // its unread bytes may be the pong
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

// heartbeat pings a client that was silent for half an interval, or closes it when it didn't
// respond to the last ping. The check for the pong doesn't shift the interval, so connections stay
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
