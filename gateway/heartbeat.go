package gateway

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// pingFrame is an unmasked ping without payload (RFC 6455, 5.5.2).
var pingFrame = []byte{0x80 | byte(ws.OpPing), 0}

// beat advances the shard's clock. The server's ticker posts it; at is the time of the post, and
// date the value of the Date header.
func (s *shard) beat(now uint32, at time.Time, date []byte) {
	s.date = date
	s.wakeups.last = response{} // it has the old date
	s.stats.lag.observe(time.Since(at))
	s.conns.Tick(now)
	s.drainStep()
	s.shedInputs()
	s.goOnAll()
}

// Due handles the expiry of the connection's deadline.
func (s *shard) Due(i uint32) {
	c := s.client(i)
	switch c.phase {
	case phaseHead, phaseBody:
		if s.conns.IsHalf(i) && c.phase == phaseHead && !s.conns.Queued(i) {
			s.conns.Release(i, reasons.CloseByClient)
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
	}
}

// heartbeat pings a client that was silent for half an interval, or closes it when it didn't
// respond to the last ping. The check for the pong doesn't shift the interval, so connections stay
// evenly spread.
func (s *shard) heartbeat(i uint32, c *client) {
	interval := conn.Ticks(s.cfg.Heartbeat.Interval)
	timeout := conn.Ticks(s.cfg.Heartbeat.Timeout)
	switch {
	case c.flags&flagUnknown != 0:
		s.endSaying(i, c, reasons.CloseToken, tokenRefused(auth.ReasonMissing))
	case c.flags&flagPinged != 0:
		s.end(i, c, reasons.CloseTimeout)
	case c.flags&flagProbing != 0:
		c.flags &^= flagProbing
		s.schedule(i, c, s.conns.Now()+max(1, interval-min(interval, timeout)))
	case s.conns.Now()-s.conns.Heard(i) < interval/2:
		s.schedule(i, c, s.conns.Now()+interval)
	default:
		c.flags |= flagPinged | flagProbing
		s.schedule(i, c, s.conns.Now()+timeout)
		s.stats.pings++
		s.conns.SendBatched(i, conn.Out{Bytes: pingFrame})
	}
}
