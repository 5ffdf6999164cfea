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
	now := s.conns.Clock.Now()
	s.drain = drain{
		reason: reason, fraction: fraction,
		start: now, end: now + conn.Ticks(d), total: s.conns.Slots.Len(), cursor: 1,
	}
}

// shutDown begins to close all connections over d, and takes no new ones.
func (s *shard) shutDown(d time.Duration) {
	s.conns.Acceptor.Stop()
	s.conns.Hurry()
	s.http.Leave()
	s.beginDrain(reasons.CloseDrain, 1, d)
	// A proxy keeps idle connections for any client, which would be rejected on them while other
	// nodes are ready. Scanning a million connections takes about 10 ms.
	for i := uint32(1); i < s.conns.Slots.End(); i++ {
		if s.conns.Slots.IsOpen(i) && s.http.IsIdle(i) {
			s.leave(i, reasons.CloseDrain)
		}
	}
}

// drainStep closes the connections due at this tick.
func (s *shard) drainStep() {
	d := &s.drain
	if d.reason == "" {
		return
	}
	now := s.conns.Clock.Now()
	target := d.total
	if now < d.end {
		target = int(uint64(d.total) * uint64(now-d.start+1) / uint64(d.end-d.start+1))
	}
	for d.done < target && d.cursor < s.conns.Slots.End() {
		i := d.cursor
		d.cursor++
		if !s.conns.Slots.Exists(i) {
			continue
		}
		d.done++
		if d.share += d.fraction; d.share >= 1 {
			d.share--
			s.leave(i, d.reason)
		}
	}
	if now >= d.end && d.reason != reasons.CloseDrain {
		s.drain = drain{}
	}
}

// leave closes one connection gracefully.
func (s *shard) leave(i uint32, reason reasons.Close) {
	if s.http.Drain(i, reason) {
		s.hub.Leave(i, reason)
	}
}
