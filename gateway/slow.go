package gateway

import (
	"cmp"
	"slices"

	"pushgate/fanout"
)

// SlowPolicy says what happens to a client that reads a channel's messages more
// slowly than they come, once more than limits.queue_bytes wait behind the one
// that is being sent to it.
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

	// DropTooLarge is of a message that no client gets: limits.payload_bytes.
	DropTooLarge DropReason = "too_large"
)

// dropReasons are all of them, for those who count them.
var dropReasons = []DropReason{DropOldest, DropLatest, DropOverrun}

// enough is the part of its bound, in quarters, that a queue is dropped to, so
// that not every message has to look through it.
const enough = 3

// overflow keeps a client's queue within its bound by the policies of the
// channels in it, and ends the client where that doesn't help.
func (s *shard) overflow(i uint32, c *conn, q *queue) {
	bound := s.cfg.Limits.QueueBytes + q.history
	if !q.over(bound) {
		return
	}
	form := c.form()
	n := q.dropOldest(bound/4*enough,
		func(m *fanout.Message) bool { return s.cfg.rules.of(m.Channel).slow() == SlowDropOldest },
		func(m *fanout.Message) []byte {
			return gapNotice(m.Channel, fanout.Gap{Since: just(m), Reason: fanout.GapSlow}).Encoded(form)
		})
	s.stats.drops[DropOldest] += uint64(n)
	if q.over(bound) {
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
	s.stats.drops[DropLatest] += uint64(q.replace(m.Channel))
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

// shed ends clients while all queues together pass limits.total_queue_bytes, in
// the shards that have more than their share of it: those with the largest burden,
// then those with the largest queue. It begins a sixteenth
// below the bound, because a shard that has less than its share lets that pass until
// another one notices, and goes on to nine tenths of where it began, so that it isn't
// called for every message.
func (s *shard) shed() {
	limit, share := int64(s.cfg.Limits.TotalQueueBytes)/16*15, s.queueShare()/16*15
	within := func(limit, share int64) bool { return s.tally.all.bytes.Load() <= limit || s.tally.bytes <= share }
	if within(limit, share) {
		return
	}
	var all []*queue
	for _, q := range s.queues.items {
		if q.bytes > 0 {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b *queue) int {
		return cmp.Or(cmp.Compare(b.burden(), a.burden()), cmp.Compare(b.bytes, a.bytes))
	})
	for _, q := range all {
		if within(limit/10*9, share/10*9) {
			return
		}
		switch c := s.conns.at(q.owner); {
		case c.phase == phaseFree:
		case c.phase == phaseOpen && q.droppable() >= q.bytes/2:
			s.end(q.owner, c, CloseOverload)
		default: // an answer is all or nothing, and a message whose begin is sent
			s.release(q.owner, c, CloseOverload)
		}
	}
}
