package gateway

import "github.com/pushgate/pushgate/gateway/internal/reasons"

// queueShare is the shard's share of limits.total_queue_bytes.
func (s *shard) queueShare() int64 {
	return int64(s.cfg.Limits.TotalQueueBytes / len(s.srv.shards))
}

// shed ends clients while all queues together pass limits.total_queue_bytes, in
// the shards that have more than their share of it: those with the largest burden,
// then those with the largest queue. It begins a sixteenth below the bound, because
// a shard that has less than its share asks the others, which takes them a turn, and
// goes on to nine tenths of where it began, so that it isn't called for every message.
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
		} else { // an answer is all or nothing, and a message whose beginning is sent
			s.release(q.Owner, c, reasons.CloseOverload)
		}
	}
}

// askToShed has the other shards look whether they have more than their share:
// nothing may come for the clients of those who do, and nobody else can end them.
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

// shedWhenAsked is shed without asking others in turn.
func (s *shard) shedWhenAsked() {
	if s.queues.Bytes > s.queueShare()/16*15 {
		s.shed()
	}
}
