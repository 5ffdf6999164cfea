package fanout

// rings keeps all rings of a link in the order of their last message and
// within a bound. A ring is dropped whole: the channel that has been silent
// for longest loses its past first, a busy one only what its own bounds say.
type rings struct {
	// Immutable.
	config RingConfig
	total  int // this link's part of config.TotalBytes

	// Guarded by the link's mu.
	list  ring // head of the circular list: next is the newest, prev the oldest
	bytes int
}

func (s *rings) init(c RingConfig, total int) {
	s.config, s.total = c, total
	s.list.next, s.list.prev = &s.list, &s.list
}

// of returns the ring of t, which it makes at the first message.
func (s *rings) of(id uint32, t *topic, now uint32) *ring {
	if t.ring == nil {
		t.ring = newRing(t)
		t.ring.topic, t.ring.touched = id, now
		t.flags &^= topicLostAfter | topicLostBefore
		s.link(t.ring)
	}
	return t.ring
}

// push appends m to the ring of t and keeps the bounds. It returns before the
// topic's seq and last move on to m.
func (s *rings) push(topics *topics, id uint32, t *topic, m *Message, now uint32) {
	r := s.of(id, t, now)
	if m.ID.Durable() && t.last.isZero() {
		r.first = idOf(m.ID)
	}
	s.bytes -= r.bytes
	r.push(m)
	r.trim(s.config)
	s.bytes += r.bytes
	s.touch(r, now)
	s.fit(topics, r)
}

// pushHistory puts the newest of messages that fit before the ring of t, so
// that the next ones who come back are served without reading the stream.
// base is the position before the first of them.
func (s *rings) pushHistory(topics *topics, id uint32, t *topic, messages []*Message, base streamID, now uint32) {
	r := s.of(id, t, now)
	room, bytes, fit := s.config.Messages-r.n, r.bytes, 0
	for fit < min(len(messages), room) {
		bytes += ringCost(messages[len(messages)-1-fit])
		if bytes > s.config.Bytes {
			break
		}
		fit++
	}
	if fit == 0 && len(messages) > 0 {
		return
	}
	if cut := len(messages) - fit; cut > 0 {
		base, messages = idOf(messages[cut-1].ID), messages[cut:]
	}
	s.bytes -= r.bytes
	r.pushFront(messages, base)
	s.bytes += r.bytes
	s.touch(r, now)
	s.fit(topics, r)
}

// drop forgets the ring of t.
func (s *rings) drop(t *topic) {
	r := t.ring
	if r == nil {
		return
	}
	s.bytes -= r.bytes
	r.prev.next, r.next.prev = r.next, r.prev
	r.leave(t)
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
	for s.bytes > s.total && s.list.prev != keep {
		s.drop(topics.at(s.list.prev.topic))
	}
	for s.bytes > s.total && keep.n > 0 {
		before := keep.bytes
		keep.pop()
		s.bytes -= before - keep.bytes
	}
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
