package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// enqueueEach queues the messages of a batch one by one.
func (w *Output) enqueueEach(i uint32, c *socket, o Out, kind queue.Kind) {
	if o.Batch == nil {
		w.enqueueOne(i, c, &o, w.originOf(&o), kind)
		return
	}
	for _, m := range o.Batch {
		one := Out{Bytes: m.Encoded(o.Form), sent: o.sent, Message: m}
		if o.sent >= len(one.Bytes) {
			o.sent -= len(one.Bytes)
			continue
		}
		o.sent = 0
		if w.enqueueOne(i, c, &one, w.originOf(&one), kind); c.state != stateOpen {
			return
		}
	}
}

// originOf returns a message's origin, nil if it can't be dropped: a notice, or a partly sent
// message.
func (w *Output) originOf(o *Out) *queue.Origin {
	if o.sent > 0 || o.Message.Notice() {
		return nil
	}
	return w.origins.Of(o.Message)
}

// QueueShare is the set's share of TotalQueueBytes.
func (w *Output) QueueShare() int64 {
	return int64(w.set.options.TotalQueueBytes / len(w.set.shared.sets))
}

// shed closes clients while all queues together exceed TotalQueueBytes, in the sets
// above their share of it: those with the largest burden, then those with the largest queue. It
// starts a sixteenth below the bound, because a set below its share asks the others, which takes
// them a turn, and goes on to nine tenths of that, so that it doesn't run for every message.
func (s *Set) shed() {
	limit, share := int64(s.options.TotalQueueBytes)/16*15, s.Out.QueueShare()/16*15
	if s.shared.Queued.Bytes.Load() <= limit {
		return
	}
	if s.Out.queues.Bytes <= share {
		s.askToShed()
		return
	}
	for s.shared.Queued.Bytes.Load() > limit/10*9 && s.Out.queues.Bytes > share/10*9 {
		q := s.Out.queues.Heaviest()
		if q == nil {
			return
		}
		c := s.Slots.at(q.Owner)
		if c.state == stateOpen && q.Droppable() {
			s.handler.Evict(q.Owner)
		} else { // a response, or a partly sent message, is all or nothing
			s.release(q.Owner, c, reasons.CloseOverload)
		}
	}
}

// askToShed makes the other sets check their share: one above it may have no output of its own
// that would make it shed, and only it can close its clients.
func (s *Set) askToShed() {
	asking := &s.shared.askedToShed
	others := int32(len(s.shared.sets) - 1)
	if others == 0 || asking.Load() > 0 || !asking.CompareAndSwap(0, others) {
		return
	}
	for _, other := range s.shared.sets {
		if other != s {
			other.loop.Post(func() {
				asking.Add(-1)
				other.shedWhenAsked()
			})
		}
	}
}

// shedWhenAsked is shed without asking other sets in turn.
func (s *Set) shedWhenAsked() {
	if s.Out.queues.Bytes > s.Out.QueueShare()/16*15 {
		s.shed()
	}
}
