package gateway

import (
	"time"

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
		start: s.now, end: s.now + ticks(d), total: s.conns.used, cursor: 1,
	}
}

// closeIdle closes the connections without a request in progress. A proxy keeps them for any
// client, which would be rejected on them while other nodes are ready. Scanning a million
// connections takes about 10 ms.
func (s *shard) closeIdle() {
	for i := uint32(1); i < s.conns.next; i++ {
		if c := s.conns.at(i); c.phase == phaseHead && c.flags&flagKept != 0 && c.in == 0 {
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
	if s.now < d.end {
		target = int(uint64(d.total) * uint64(s.now-d.start+1) / uint64(d.end-d.start+1))
	}
	for d.done < target && d.cursor < s.conns.next {
		i := d.cursor
		d.cursor++
		c := s.conns.at(i)
		if c.phase == phaseFree || c.phase == phaseGone {
			continue
		}
		d.done++
		if d.share += d.fraction; d.share >= 1 {
			d.share--
			s.drainOne(i, c, d.reason)
		}
	}
	if s.now >= d.end && d.reason != reasons.CloseDrain {
		s.drain = drain{}
	}
}

// drainOne closes one connection gracefully.
func (s *shard) drainOne(i uint32, c *conn, reason reasons.Close) {
	switch c.phase {
	case phaseProxy, phaseHead, phaseBody:
		// A request that has arrived still gets its response, and no client a reset for bytes in
		// flight.
		if c.flags&flagHalf == 0 {
			s.read(i, c)
		}
		switch {
		case c.phase >= phaseClosing:
			return
		case c.phase == phaseBody && s.polls.At(c.poll).body.Done():
			c.flags |= flagClose // waiting for Redis's reply
			return
		case c.phase != phaseOpen:
			s.finish(i, c, reason, nil)
			return
		}
	case phaseClosing:
		end := s.now + ticks(s.lingerTime())
		if due, ok := s.wheel.Due(i); ok && int32(due-end) > 0 {
			s.wheel.Set(i, end)
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
	s.finish(i, c, reason, s.farewell(c, reason, "", s.cfg.Drain.Reconnect))
}

// ageOf returns the tick at which a connection reaches its maximum age, and whether it has one. It
// is dithered by a tenth either way, so that clients that connected together don't reconnect
// together.
func (s *shard) ageOf(i uint32, c *conn) (end uint32, ok bool) {
	if s.cfg.Drain.MaxAge == 0 {
		return 0, false
	}
	age := ticks(s.cfg.Drain.MaxAge)
	hash := (i ^ c.gen<<16) * 2654435761
	dither := uint64(age) / 5 * uint64(hash>>16) >> 16
	return c.born + age - age/10 + uint32(dither), true
}

// old reports whether a connection has reached its maximum age.
func (s *shard) old(i uint32, c *conn) bool {
	end, ok := s.ageOf(i, c)
	return ok && int32(s.now-end) >= 0
}

// aged closes a connection that is old.
func (s *shard) aged(i uint32, c *conn) bool {
	if !s.old(i, c) {
		return false
	}
	s.drainOne(i, c, reasons.CloseAge)
	return true
}
