package gateway

import (
	"cmp"
	"slices"

	"pushgate/fanout"
)

// SlowPolicy says what happens to a client that reads a channel's messages more
// slowly than they come, once its queue passes limits.queue_bytes.
type SlowPolicy string

const (
	// SlowDisconnect ends the connection with 4002. The client comes back with
	// its last position and catches up in its own time.
	SlowDisconnect SlowPolicy = "disconnect"
	// SlowDropOldest drops the oldest messages that wait, and tells the client
	// of the gap in their place.
	SlowDropOldest SlowPolicy = "drop_oldest"
	// SlowLatest keeps only the newest message of the channel, for channels
	// whose messages each say all: a price, a position on a map.
	SlowLatest SlowPolicy = "latest"
)

// DropReason says why a message was not delivered to a client.
type DropReason string

const (
	DropOldest  DropReason = "drop_oldest"
	DropLatest  DropReason = "latest"
	DropOverrun DropReason = "overrun" // the gateway itself could not keep up
)

// enough is the part of its bound, in quarters, that a queue is dropped to, so
// that not every message has to look through it.
const enough = 3

// overflow keeps a client's queue within its bound by the policies of the
// channels in it, and ends the client where that doesn't help.
func (s *shard) overflow(i uint32, c *conn, q *queue) {
	bound := s.cfg.Limits.QueueBytes + q.history
	if q.bytes <= bound {
		return
	}
	before := q.bytes
	form := c.form()
	n := q.dropOldest(bound/4*enough,
		func(m *fanout.Message) bool { return s.cfg.rules.of(m.Channel).slow() == SlowDropOldest },
		func(m *fanout.Message) []byte {
			return gapNotice(m.Channel, fanout.Gap{Since: just(m), Reason: fanout.GapSlow}).Encoded(form)
		})
	s.stats.queueBytes += int64(q.bytes - before)
	s.stats.drops[DropOldest] += uint64(n)
	if q.bytes > bound {
		s.end(i, c, CloseSlow)
	}
}

// just returns the position just before a message.
func just(m *fanout.Message) fanout.Position {
	p := m.ID
	if p.Durable() {
		return m.Before()
	}
	p.Seq--
	return p
}

// supersede drops what waits of a channel of which only the newest counts.
func (s *shard) supersede(q *queue, m *fanout.Message) {
	if m == nil || s.cfg.rules.of(m.Channel).slow() != SlowLatest {
		return
	}
	before := q.bytes
	s.stats.drops[DropLatest] += uint64(q.replace(m.Channel))
	s.stats.queueBytes += int64(q.bytes - before)
}

// single reports whether it is a batch whose messages are to be queued one by
// one, because the channel's policy drops messages. Any other batch stays one
// item. Only what the kernel refuses comes here, so that a batch costs nothing
// more where it is taken.
func (s *shard) single(c *conn, it *queued) bool {
	many := len(it.batch) > 1
	if many && c.phase == phaseOpen && s.cfg.rules.of(it.batch[0].Channel).slow() != SlowDisconnect {
		return true
	}
	it.batch = nil
	return false
}

// enqueueEach queues the messages of a batch, which it.b is the rest of.
func (s *shard) enqueueEach(i uint32, c *conn, it queued, begun bool) {
	gen, form := c.gen, c.form()
	sent := -len(it.b)
	for _, m := range it.batch {
		sent += len(m.Encoded(form))
	}
	for _, m := range it.batch {
		b := m.Encoded(form)
		if sent >= len(b) {
			sent -= len(b)
			continue
		}
		one := queued{b: b[sent:], from: m}
		if m.Notice() {
			one.from = nil
		}
		s.enqueue(i, c, one, begun && sent > 0)
		if c.gen != gen || c.phase != phaseOpen {
			return
		}
		sent = 0
	}
}

// queueShare is the shard's share of limits.total_queue_bytes.
func (s *shard) queueShare() int64 {
	return int64(s.cfg.Limits.TotalQueueBytes / len(s.srv.shards))
}

// shed ends the clients with the largest queues while all of the shard's
// together pass its share of limits.total_queue_bytes. It goes on to nine
// tenths of that, so that it isn't called for every message.
func (s *shard) shed() {
	share := s.queueShare()
	if s.stats.queueBytes <= share {
		return
	}
	var all []*queue
	for _, q := range s.queues.items {
		if q.bytes > 0 {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b *queue) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, q := range all {
		if s.stats.queueBytes <= share/10*9 {
			return
		}
		switch c := s.conns.at(q.owner); c.phase {
		case phaseFree:
		case phaseOpen:
			s.end(q.owner, c, CloseOverload)
		default: // an answer is all or nothing
			s.release(q.owner, c, CloseOverload)
		}
	}
}
