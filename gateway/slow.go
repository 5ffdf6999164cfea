package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// SlowPolicy is the treatment of a client that reads a channel's messages more slowly than they are
// published, once its backlog exceeds limits.queue_bytes.
type SlowPolicy string

const (
	// SlowDisconnect closes the connection with 4002. The client reconnects with its last position
	// and catches up at its own pace.
	SlowDisconnect SlowPolicy = "disconnect"
	// SlowDropOldest drops the oldest queued messages, and sends a gap notice in their place.
	SlowDropOldest SlowPolicy = "drop_oldest"
	// SlowLatest keeps only the newest message of the channel, for channels whose every message is
	// complete: a price, a position on a map.
	SlowLatest SlowPolicy = "latest"
)

// overflow keeps a client's queue within its bound by the policies of the channels in it, and
// closes the client if that isn't enough.
func (s *shard) overflow(i uint32, c *conn, q *queue.Queue) {
	n, ok := q.Bound(s.cfg.Limits.QueueBytes, func(o *queue.Origin) []byte {
		return gapNotice(o.Channel, fanout.Gap{Since: o.Before, Reason: fanout.GapSlow}).Encoded(c.form())
	})
	s.stats.drops[reasons.DropOldest] += uint64(n)
	if !ok {
		s.end(i, c, reasons.CloseSlow)
	}
}

// lossy reports whether the messages of o are to be queued one by one, because their channel's
// policy drops messages. Any other batch stays one item. It runs only for output that the kernel
// refuses, so other batches cost nothing more.
func (s *shard) lossy(c *conn, o *outgoing) (kind queue.Kind, yes bool) {
	if o.message == nil || c.phase != phaseOpen {
		return 0, false
	}
	switch s.cfg.rules.of(o.message.Channel).slow() {
	case SlowLatest:
		return queue.Latest, true
	case SlowDropOldest:
		return 0, true
	}
	return 0, false
}

// enqueueEach queues the messages of a batch one by one.
func (s *shard) enqueueEach(i uint32, c *conn, o outgoing, kind queue.Kind) {
	if o.batch == nil {
		s.enqueueOne(i, c, &o, s.originOf(&o), kind)
		return
	}
	form := c.form()
	for _, m := range o.batch {
		one := outgoing{b: m.Encoded(form), sent: o.sent, message: m}
		if o.sent >= len(one.b) {
			o.sent -= len(one.b)
			continue
		}
		o.sent = 0
		if s.enqueueOne(i, c, &one, s.originOf(&one), kind); c.phase != phaseOpen {
			return
		}
	}
}

// originOf returns a message's origin, nil if it can't be dropped: a notice, or a partly sent
// message.
func (s *shard) originOf(o *outgoing) *queue.Origin {
	if o.sent > 0 || o.message.Notice() {
		return nil
	}
	return s.origins.Of(o.message)
}

// queueShare is the shard's share of limits.total_queue_bytes.
func (s *shard) queueShare() int64 {
	return int64(s.cfg.Limits.TotalQueueBytes / len(s.srv.shards))
}

// shed closes clients while all queues together exceed limits.total_queue_bytes, in the shards
// above their share of it: those with the largest burden, then those with the largest queue. It
// starts a sixteenth below the bound, because a shard below its share asks the others, which takes
// them a turn, and goes on to nine tenths of that, so that it doesn't run for every message.
func (s *shard) shed() {
	limit, share := int64(s.cfg.Limits.TotalQueueBytes)/16*15, s.queueShare()/16*15
	if s.srv.queued.Bytes.Load() <= limit {
		return
	}
	if s.queues.Bytes <= share {
		s.askToShed()
		return
	}
	for s.srv.queued.Bytes.Load() > limit/10*9 && s.queues.Bytes > share/10*9 {
		q := s.queues.Heaviest()
		if q == nil {
			return
		}
		c := s.conns.at(q.Owner)
		if c.phase == phaseOpen && q.Droppable() {
			s.end(q.Owner, c, reasons.CloseOverload)
		} else { // a response, or a partly sent message, is all or nothing
			s.release(q.Owner, c, reasons.CloseOverload)
		}
	}
}

// askToShed makes the other shards check their share: one above it may have no output of its own
// that would make it shed, and only it can close its clients.
func (s *shard) askToShed() {
	asking := &s.srv.askedToShed
	others := int32(len(s.srv.shards) - 1)
	if others == 0 || asking.Load() > 0 || !asking.CompareAndSwap(0, others) {
		return
	}
	for _, other := range s.srv.shards {
		if other != s {
			other.post(func() {
				asking.Add(-1)
				other.shedWhenAsked()
			})
		}
	}
}

// shedWhenAsked is shed without asking other shards in turn.
func (s *shard) shedWhenAsked() {
	if s.queues.Bytes > s.queueShare()/16*15 {
		s.shed()
	}
}
