package fanout

import (
	"sync/atomic"

	"github.com/pushgate/pushgate/fanout/message"
)

// rings keeps all rings of a link in the order of their last message and
// within a bound. A ring is dropped whole: the channel that has been silent
// for longest loses its past first, a busy one only what its own bounds say.
type rings struct {
	// Immutable.
	config RingConfig
	total  int    // this link's part of config.TotalBytes
	over   signal // sent by whoever makes an encoding that goes beyond total, received by sweep, never closed

	// Guarded by the link's mu.
	list ring // head of the circular list: next is the newest, prev the oldest

	// Atomic.
	bytes atomic.Int64 // the rings with their tables, the messages, and their encodings
}

func (s *rings) init(c RingConfig, total int) {
	s.config, s.total, s.over = c, total, make(signal, 1)
	s.list.next, s.list.prev = &s.list, &s.list
}

// of returns the ring of t, which it makes at the first message.
func (s *rings) of(id uint32, t *topic, now uint32) *ring {
	if t.ring == nil {
		t.ring = newRing(t)
		t.ring.topic, t.ring.touched, t.ring.encodings.OnChange = id, now, s.encoded
		s.bytes.Add(int64(t.ring.overhead()))
		t.flags &^= topicLostAfter | topicLostBefore
		s.link(t.ring)
	}
	return t.ring
}

// push appends m to the ring of t and keeps the bounds. It returns before the
// topic's seq and last move on to m.
func (s *rings) push(topics *topics, id uint32, t *topic, m *message.Message, now uint32) {
	r := s.of(id, t, now)
	if m.ID.Durable() && t.last.IsZero() {
		r.first = m.ID.StreamID()
	}
	s.change(r, func() {
		r.push(m)
		r.trim(s.config)
	})
	s.touch(r, now)
	s.fit(topics, r)
}

// pushHistory puts the newest of messages that fit before the ring of t, so
// that the next ones who come back are served without reading the stream.
// base is the position before the first of them.
func (s *rings) pushHistory(topics *topics, id uint32, t *topic, messages []*message.Message, base message.StreamID, now uint32) {
	r := s.of(id, t, now)
	room, bytes, fit := s.config.Messages-r.n, r.size(), 0
	for fit < min(len(messages), room) {
		bytes += messages[len(messages)-1-fit].Bytes()
		if bytes > s.config.Bytes {
			break
		}
		fit++
	}
	if fit == 0 && len(messages) > 0 {
		return
	}
	if cut := len(messages) - fit; cut > 0 {
		base, messages = messages[cut-1].ID.StreamID(), messages[cut:]
	}
	s.change(r, func() { r.pushFront(messages, base) })
	s.touch(r, now)
	s.fit(topics, r)
}

// drop forgets the ring of t.
func (s *rings) drop(t *topic) {
	r := t.ring
	if r == nil {
		return
	}
	r.prev.next, r.next.prev = r.next, r.prev
	r.prev, r.next = nil, nil
	before := r.bytes + r.overhead()
	r.leave(t)
	s.bytes.Add(int64(-before))
	t.ring = nil
}

// expire drops the rings that had no message for the configured age.
func (s *rings) expire(topics *topics, now uint32) {
	age := uint32(s.config.Age.Milliseconds())
	for r := s.list.prev; r != &s.list && now-r.touched >= age; r = s.list.prev {
		s.drop(topics.at(r.topic))
	}
}

// fit keeps the total bound at the cost of the rings other than keep.
func (s *rings) fit(topics *topics, keep *ring) {
	for s.isOver() && s.list.prev != keep {
		s.drop(topics.at(s.list.prev.topic))
	}
	for s.isOver() && keep.n > 0 {
		s.change(keep, keep.pop)
	}
}

// fitSome keeps the total bound once messages have been encoded, until so many of
// them have gone, and reports whether that is all.
func (s *rings) fitSome(topics *topics, most int) (all bool) {
	for gone := 0; s.isOver() && s.list.prev != &s.list; {
		if gone >= most {
			return false
		}
		gone += max(1, s.list.prev.n)
		s.drop(topics.at(s.list.prev.topic))
	}
	return true
}

func (s *rings) isOver() bool { return s.bytes.Load() > int64(s.total) }

// change counts what fn makes of a ring, but for encodings, which count
// themselves.
func (s *rings) change(r *ring, fn func()) {
	before := r.bytes + r.overhead()
	fn()
	s.bytes.Add(int64(r.bytes + r.overhead() - before))
}

func (s *rings) touch(r *ring, now uint32) {
	r.touched = now
	r.prev.next, r.next.prev = r.next, r.prev
	s.link(r)
}

func (s *rings) link(r *ring) {
	r.prev, r.next = &s.list, s.list.next
	r.prev.next, r.next.prev = r, r
}

// encoded counts encodings of the rings' messages, with or without the link's mu.
func (s *rings) encoded(bytes int) {
	if s.bytes.Add(int64(bytes)) > int64(s.total) && bytes > 0 {
		s.over.send()
	}
}
