package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// handover counts the messages that the broker has handed to a shard and that its loop
// hasn't taken yet.
// The broker can't wait, and the loop may be busy, so that there must be a bound. It
// is reached when messages come faster than a loop takes them in, which is far more
// than it can deliver.
type handover struct {
	// Immutable
	room int64 // maxHandover, less in tests

	// Atomic
	bytes   atomic.Int64 // of messages
	dropped atomic.Int32 // channels in drops

	// Guarded by mu
	mu    sync.Mutex
	drops map[string]uint64 // messages dropped of a channel of which the loop is still to be told
}

const (
	// maxHandover bounds the memory of the messages that wait for the loop.
	maxHandover = maxPending
	// handoverBytes is what a message takes beside its payload, with what is posted.
	handoverBytes = 300
)

// Deliver is called by the broker with a channel's next message.
func (s *shard) Deliver(m *message.Message) {
	h, size := &s.handover, int64(len(m.Payload)+len(m.User)+handoverBytes)
	full := h.bytes.Load()+size > h.room
	if (full || h.dropped.Load() > 0) && !m.Notice() && s.passOver(m, full) {
		return
	}
	h.bytes.Add(size)
	s.post(func() {
		h.bytes.Add(-size)
		if ch, ok := s.index.Lookup([]byte(m.Channel)); ok {
			s.dispatch(ch, m)
		}
	})
}

// passOver drops a message if there is no room, or if the one before it in the
// channel was dropped and the loop hasn't been told of that yet: so it is told once of
// all of them, in their place.
func (s *shard) passOver(m *message.Message, full bool) (dropped bool) {
	h := &s.handover
	h.mu.Lock()
	defer h.mu.Unlock()
	n, told := h.drops[m.Channel]
	if !told && !full {
		return false
	}
	h.drops[m.Channel] = n + 1
	if told {
		return true
	}
	h.dropped.Add(1)
	channel, since, seq := m.Channel, queue.PositionBefore(m), m.Seq // the message itself goes
	s.post(func() {
		h.mu.Lock()
		n := h.drops[channel]
		delete(h.drops, channel)
		h.dropped.Add(-1)
		h.mu.Unlock()
		s.stats.drops[reasons.DropOverrun] += n
		if ch, ok := s.index.Lookup([]byte(channel)); ok {
			s.tellDropped(ch, channel, since, seq)
		}
	})
	return true
}
