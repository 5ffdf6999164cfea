package gateway

import "time"

// drain is a shard's part of a shutdown or of a rebalance: its connections in
// slot order, closed evenly from start to end.
type drain struct {
	reason     CloseReason // empty: nothing is being drained
	fraction   float64     // of the connections, those that go
	spread     time.Duration
	start, end uint32  // ticks
	total      int     // connections at the start
	done       int     // of these, looked at
	share      float64 // of a connection that is owed to fraction
	cursor     uint32  // slots below it are done
}

// beginDrain starts to close a fraction of the connections evenly over d. Their
// clients are told to come back within d.
func (s *shard) beginDrain(reason CloseReason, fraction float64, d time.Duration) {
	s.drain = drain{
		reason: reason, fraction: fraction, spread: d,
		start: s.now, end: s.now + ticks(d), total: s.conns.used, cursor: 1,
	}
}

// drainStep closes as many connections as are due at this tick.
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
		if c.phase == phaseFree {
			continue
		}
		d.done++
		if d.share += d.fraction; d.share >= 1 {
			d.share--
			s.sendAway(i, c, d.reason, d.spread)
		}
	}
	if s.now >= d.end && d.reason != CloseDrain {
		s.drain = drain{}
	}
}

// sendAway tells one connection to go. The client is given a time of its own
// within spread to come back at, so that those closed together don't return
// together.
func (s *shard) sendAway(i uint32, c *conn, reason CloseReason, spread time.Duration) {
	switch c.phase {
	case phaseProxy, phaseHead, phaseBody:
		// A request that is here already gets its answer, and no client a
		// reset for what it has on its way.
		gen := c.gen
		s.read(i, c)
		if c.gen == gen && c.phase == phaseBody && s.polls.at(c.poll).body.Done() {
			c.flags |= flagClose // Redis is about to answer it
			return
		}
		if c.gen == gen && c.phase <= phaseBody {
			s.endWith(i, c, reason, nil)
		}
		return
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
			s.tryAnswer(i, c)
		}
		return
	}
	s.endWith(i, c, reason, s.farewell(c, reason, "", spread))
}
