package fanout

import (
	"sync/atomic"
	"unsafe"

	"github.com/pushgate/pushgate/fanout/internal/memory"
	"github.com/pushgate/pushgate/fanout/message"
)

// ring holds a channel's most recent messages, oldest first, and knows which ones it no longer
// holds. The front may be history read from the stream: those messages precede the channel's
// count on this node, so only the ones after them have plain positions.
//
//	base          history          baseAt           live          topic.seq, topic.at
//	  | id1 id2 … id(history)         | seq+1 seq+2 …                    |
type ring struct {
	// Guarded by the link's mu.

	buf     []*message.Message // circular, a power of two long
	head    int
	n       int
	history int              // of the n, the ones in front that were read from the stream
	bytes   int              // of all messages, without their encodings
	base    message.StreamID // durable position before the first message
	baseAt  uint64           // time of the message before the first live one, or at which the topic went live
	whole   bool             // it's the latter: nothing arrived before the first live one
	bottom  bool             // the stream holds no message before base
	hasLost bool             // see lost
	first   message.StreamID // of the stream, where that has begun while the ring was there
	// lost: a replay from this durable position or an earlier one misses messages that no
	// stream holds either.
	lost   message.StreamID
	lostAt uint64 // time of the last of these, or later

	// Owned by rings: the list of all rings by their last message.

	topic      uint32
	touched    uint32 // milliseconds of the link
	prev, next *ring

	// Atomic.

	encodings message.Meter // of all messages
}

// ringBytes is the ring itself.
const ringBytes = (int(unsafe.Sizeof(ring{})) + memory.Unit - 1) &^ (memory.Unit - 1)

// size returns the bytes of the ring's messages with the encodings that they have by now.
func (r *ring) size() int { return r.bytes + r.encodings.Bytes() }

// overhead returns the bytes of the ring itself with its table.
func (r *ring) overhead() int { return ringBytes + memory.PointerBytes*len(r.buf) }

// newRing returns an empty ring behind t's last message.
func newRing(t *topic) *ring {
	r := &ring{base: t.last, baseAt: t.at, whole: t.flags&topicWhole != 0}
	switch {
	case t.flags&topicLostAfter != 0:
		r.lost, r.lostAt, r.hasLost = t.last, t.at, true
	case t.flags&topicLostBefore != 0:
		r.lost, r.lostAt, r.hasLost = t.last.Before(), t.at, true
	}
	return r
}

// leave leaves in t the facts that newRing needs after r is dropped.
func (r *ring) leave(t *topic) {
	t.flags &^= topicLostAfter | topicLostBefore
	for r.n > 0 {
		r.pop()
	}
	r.buf = nil // messages on their way to clients hold on to the ring
	if r.hasLost {
		if r.lost.Less(t.last) {
			t.flags |= topicLostBefore
		} else {
			t.flags |= topicLostAfter
		}
	}
}

func (r *ring) at(i int) *message.Message { return r.buf[(r.head+i)&(len(r.buf)-1)] }

// push adds the message with the next plain position.
func (r *ring) push(m *message.Message) {
	if r.n == len(r.buf) {
		r.grow(r.n + 1)
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = m
	r.n++
	r.bytes += m.OwnBytes()
	m.Enter(&r.encodings)
}

// pushFront puts history, oldest first, before everything else; base is the durable
// position before it.
func (r *ring) pushFront(history []*message.Message, base message.StreamID) {
	r.grow(r.n + len(history))
	for i := len(history) - 1; i >= 0; i-- {
		r.head = (r.head - 1) & (len(r.buf) - 1)
		r.buf[r.head] = history[i]
		r.bytes += history[i].OwnBytes()
		history[i].Enter(&r.encodings)
	}
	r.n += len(history)
	r.history += len(history)
	r.base = base
}

func (r *ring) grow(n int) {
	size := max(1, len(r.buf))
	for size < n {
		size *= 2
	}
	if size == len(r.buf) {
		return
	}
	buf := make([]*message.Message, size)
	for i := range r.n {
		buf[i] = r.at(i)
	}
	r.buf, r.head = buf, 0
}

// pop forgets the oldest message.
func (r *ring) pop() {
	m := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	r.bytes -= m.OwnBytes()
	m.Leave(&r.encodings)
	if r.history > 0 {
		r.history--
	} else {
		r.baseAt, r.whole = m.Arrived, false
	}
	if m.ID.Durable() {
		r.base, r.bottom = m.ID.StreamID(), false
	} else {
		r.lost, r.lostAt, r.hasLost = r.base, m.Arrived, true
	}
}

// trim forgets the oldest messages beyond the bounds.
func (r *ring) trim(c RingConfig) {
	for r.n > c.Messages || r.size() > c.Bytes && r.n > 1 {
		r.pop()
	}
}

// afterPlain returns the index of the first message after a plain position, and whether
// nothing between was forgotten.
func (r *ring) afterPlain(at uint64) (int, bool) {
	i := r.n
	for i > r.history && at < r.at(i-1).Arrived {
		i--
	}
	return i, at >= r.baseAt
}

// afterTime returns the index of the first message that was published or received after a time
// in milliseconds.
func (r *ring) afterTime(ms uint64) int {
	i := 0
	for i < r.n && max(r.at(i).Arrived/1000, r.at(i).ID.Ms) < ms {
		i++
	}
	return i
}

// reaches reports whether the ring has all plain messages for a client that had the channel
// Overlap after a time. Where nothing preceded the ring, it's enough that the channel was live
// by then.
func (r *ring) reaches(ms uint64) bool {
	at := r.baseAt / 1000
	return at+overtake <= ms+Overlap || r.whole && r.base.IsZero() && at <= ms+Overlap
}

// before returns the durable position before the message at index i.
func (r *ring) before(i int) message.StreamID {
	for i--; i >= 0; i-- {
		if m := r.at(i); m.ID.Durable() {
			return m.ID.StreamID()
		}
	}
	return r.base
}

// last returns the index of the last n messages, and whether nothing among them was forgotten.
// Where something was, that is the first one that this node received: the ones before it are
// history, which no sink has missed.
func (r *ring) last(n uint32) (int, bool) {
	if live := r.n - r.history; int64(n) > int64(live) {
		return r.history, false
	}
	return r.n - int(n), true
}

// baseSeq returns the number of the message before the first live one, where seq is the last
// one's.
func (r *ring) baseSeq(seq uint32) uint32 { return seq - uint32(r.n-r.history) }

// afterDurable returns the index of the first message after a durable position that is
// not before base.
func (r *ring) afterDurable(id message.StreamID) int {
	for i := r.n - 1; i >= 0; i-- {
		if m := r.at(i); m.ID.Durable() && !id.Less(m.ID.StreamID()) {
			return i + 1
		}
	}
	return 0
}

// complete reports whether a replay from id, by ring and stream, holds all messages that
// this node has seen.
func (r *ring) complete(id message.StreamID) bool { return !r.hasLost || r.lost.Less(id) }

// from returns the messages from index i on, appended to dst.
func (r *ring) from(dst []*message.Message, i int) []*message.Message {
	for ; i < r.n; i++ {
		dst = append(dst, r.at(i))
	}
	return dst
}

// rings keeps all rings of a link in the order of their last message and within a bound.
// A ring is dropped whole: the channel that has been silent for longest loses its past
// first, a busy one only by its own bounds.
type rings struct {
	// Immutable.
	config RingConfig
	total  int    // this link's part of config.TotalBytes
	over   signal // sent by any goroutine whose encoding goes beyond total, received by sweep, never closed

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

// push appends m to the ring of t and keeps the bounds. It returns before the topic's seq
// and last move on to m.
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

// pushHistory puts the newest of messages that fit before the ring of t, so that the next
// replays are served without reading the stream. base is the position before the first of them.
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

// fitSome keeps the total bound once messages have been encoded, until so many of them
// have gone, and reports whether that is all.
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

// change counts the growth of a ring by fn, but for encodings, which count themselves.
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
