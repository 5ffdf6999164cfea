package gateway

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// drain is a shard's part of a shutdown or of a rebalance: its connections in
// slot order, closed evenly from start to end.
type drain struct {
	reason     reasons.Close // empty: nothing is being drained
	fraction   float64       // of the connections to close
	start, end uint32        // ticks
	total      int           // connections at the start
	done       int           // connections visited
	share      float64       // accumulated fraction of the next connection to close
	cursor     uint32        // slots below it are done
}

// beginDrain starts to close a fraction of the connections evenly over d, replacing any drain in
// progress.
func (s *shard) beginDrain(reason reasons.Close, fraction float64, d time.Duration) {
	s.drain = drain{
		reason: reason, fraction: fraction,
		start: s.conns.Now(), end: s.conns.Now() + conn.Ticks(d), total: s.conns.Used(), cursor: 1,
	}
}

// closeIdle closes the connections without a request in progress. A proxy keeps them for any
// client, which would be rejected on them while other nodes are ready. Scanning a million
// connections takes about 10 ms.
func (s *shard) closeIdle() {
	for i := uint32(1); i < s.conns.End(); i++ {
		if c := s.client(i); s.conns.Exists(i) && c.phase == phaseHead && c.flags&flagKept != 0 && c.in == 0 {
			s.drainOne(i, c, reasons.CloseDrain)
		}
	}
}

// drainStep closes the connections due at this tick.
func (s *shard) drainStep() {
	d := &s.drain
	if d.reason == "" {
		return
	}
	target := d.total
	if s.conns.Now() < d.end {
		target = int(uint64(d.total) * uint64(s.conns.Now()-d.start+1) / uint64(d.end-d.start+1))
	}
	for d.done < target && d.cursor < s.conns.End() {
		i := d.cursor
		d.cursor++
		if !s.conns.Exists(i) {
			continue
		}
		d.done++
		if d.share += d.fraction; d.share >= 1 {
			d.share--
			s.drainOne(i, s.client(i), d.reason)
		}
	}
	if s.conns.Now() >= d.end && d.reason != reasons.CloseDrain {
		s.drain = drain{}
	}
}

// drainOne closes one connection gracefully.
func (s *shard) drainOne(i uint32, c *client, reason reasons.Close) {
	switch c.phase {
	case phaseHead, phaseBody:
		// A request that has arrived still gets its response, and no client a reset for bytes in
		// flight.
		if !s.conns.IsHalf(i) {
			s.conns.Read(i)
		}
		switch {
		case c.phase == phaseClosed:
			return
		case c.phase == phaseBody && s.polls.At(c.poll).body.Done():
			c.flags |= flagClose // waiting for Redis's reply
			return
		case c.phase != phaseOpen:
			s.conns.Finish(i, reason, nil)
			return
		}
	case phaseClosed:
		end := s.conns.LingerEnd()
		if due, ok := s.conns.Deadline(i); ok && int32(due-end) > 0 {
			s.conns.SetDeadline(i, end)
		}
		return
	}
	if c.kind == kindPoll {
		c.flags |= flagClose
		if c.flags&flagEarly == 0 {
			s.tryRespond(i, c)
		}
		return
	}
	s.conns.Finish(i, reason, s.farewell(c, reason, "", s.cfg.Drain.Reconnect))
}

// ageOf returns the tick at which a connection reaches its maximum age, and whether it has one. It
// is dithered by a tenth either way, so that clients that connected together don't reconnect
// together.
func (s *shard) ageOf(i uint32) (end uint32, ok bool) {
	if s.cfg.Drain.MaxAge == 0 {
		return 0, false
	}
	return s.conns.Born(i) + dithered(conn.Ticks(s.cfg.Drain.MaxAge), i, s.conns.Gen(i)), true
}

// dithered returns an age shortened or prolonged by up to a tenth, always the same for a connection.
func dithered(age, slot, gen uint32) uint32 {
	hash := (slot ^ gen<<16) * 2654435761
	return age - age/10 + uint32(uint64(age)/5*uint64(hash>>16)>>16)
}

// old reports whether a connection has reached its maximum age.
func (s *shard) old(i uint32, c *client) bool {
	end, ok := s.ageOf(i)
	return ok && int32(s.conns.Now()-end) >= 0
}

// aged closes a connection that is old.
func (s *shard) aged(i uint32, c *client) bool {
	if !s.old(i, c) {
		return false
	}
	s.drainOne(i, c, reasons.CloseAge)
	return true
}
