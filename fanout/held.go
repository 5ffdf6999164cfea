package fanout

import (
	"unsafe"

	"github.com/pushgate/pushgate/fanout/internal/memory"
	"github.com/pushgate/pushgate/fanout/message"
)

// heldMessage is a message as received, for a topic that isn't live yet.
type heldMessage struct {
	id      message.StreamID
	payload string
	user    string
	durable bool
	forget  bool // no message: the past is forgotten, in the stream up to id
}

// heldMessages are the messages received for a topic while it was confirmed.
type heldMessages struct {
	list  []heldMessage
	bytes int  // heldBytes of all, and heldTopicBytes
	over  bool // there was no room: list is empty, and stays so
}

// maxHeldBytes is the most that all links hold for topics that aren't live yet: twice as
// much as Redis keeps by default for a subscriber that doesn't read.
const maxHeldBytes = 64 << 20

// heldTopicBytes is the count of a topic that messages are held for: its heldMessages
// with a place in the map, the least that an allocation takes.
const heldTopicBytes = 128

// heldMessageBytes is a message with nothing behind it and its share of a list that
// doubles.
const heldMessageBytes = 2 * int(unsafe.Sizeof(heldMessage{}))

// bytes returns the memory of the message. The payload retains everything received with it from
// Redis.
func (m *heldMessage) bytes() int {
	return heldMessageBytes + memory.Allocated(len(m.payload)+maxHead) + 2*memory.Allocated(len(m.user))
}

// takePayload returns the payload for a Message. It is copied only where it has a user, which
// may be longer and would be retained.
func (m *heldMessage) takePayload() []byte {
	if m.user != "" {
		return []byte(m.payload)
	}
	return unsafe.Slice(unsafe.StringData(m.payload), len(m.payload))
}

// maxHead is a durable message's two marks and its id of common length.
const maxHead = 20

// hold keeps a message until its topic is live. Where there is no room, all that is held for
// the topic is dropped: goLive has its stream read again, and the loss of plain messages
// reported. The caller holds mu.
func (l *dispatcher) hold(place uint32, m heldMessage) {
	h := l.held[place]
	if h == nil {
		h = &heldMessages{}
		l.held[place] = h
		l.holdBytes(h, heldTopicBytes)
	}
	cost := m.bytes()
	if h.over = h.over || l.b.held.Load()+int64(cost) > maxHeldBytes; h.over {
		l.holdBytes(h, heldTopicBytes-h.bytes)
		l.b.counters.dropped.Add(uint64(len(h.list)) + 1)
		h.list = nil
		return
	}
	h.list = append(h.list, m)
	l.holdBytes(h, cost)
}

// holdBytes counts bytes that are held for a topic, or negative ones no more.
func (l *dispatcher) holdBytes(h *heldMessages, bytes int) {
	h.bytes += bytes
	l.b.held.Add(int64(bytes))
}

// releaseAll forgets all held messages. The caller holds mu.
func (l *dispatcher) releaseAll() {
	for _, h := range l.held {
		l.holdBytes(h, -h.bytes)
	}
	l.held = make(map[uint32]*heldMessages) // the old one never shrinks
}

// release takes the messages held for a topic. The caller holds mu.
func (l *dispatcher) release(place uint32) heldMessages {
	h := l.held[place]
	if h == nil {
		return heldMessages{}
	}
	delete(l.held, place)
	if len(l.held) == 0 {
		l.held = make(map[uint32]*heldMessages) // the old one never shrinks
	}
	l.holdBytes(h, -h.bytes)
	return *h
}
