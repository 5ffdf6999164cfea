package gateway

import (
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// handover counts the messages that the broker has handed to a shard and that its loop hasn't taken
// yet. The broker can't wait for a busy loop, so there must be a bound. It is reached when messages
// arrive faster than a loop takes them, which is far faster than it can deliver them.
type handover struct {
	// Immutable
	room int64 // maxHandover, less in tests

	// Atomic
	bytes   atomic.Int64 // of messages
	dropped atomic.Int32 // channels in drops

	// Guarded by mu
	mu    sync.Mutex
	drops map[string]uint64 // messages dropped, by channel, that the loop hasn't been told of yet
}

const (
	// maxHandover bounds the memory of the messages that wait for the loop.
	maxHandover = maxPending
	// handoverBytes is the overhead of a message besides its payload, including the posted
	// function.
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

// passOver drops a message if there is no room, or if its predecessor in the channel was dropped
// and the loop hasn't been told yet: the loop is told once for all of them, in their place.
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

// maxPending bounds the memory of the messages in a shard awaiting delivery, each with one
// encoding. It is reached only when publishers are faster than the machine can write.
const maxPending = 64 << 20

// dispatch queues a message for delivery to the channel's subscribers. When the shard can't keep up
// the message is dropped, and they get a gap notice where that began.
func (s *shard) dispatch(ch index.Channel, m *message.Message) {
	if _, bytes := s.index.Pending(); bytes < s.room || m.Notice() {
		delete(s.overrun, ch)
		s.index.Publish(ch, m)
		return
	}
	s.stats.drops[reasons.DropOverrun]++
	s.tellDropped(ch, m.Channel, queue.PositionBefore(m), m.Seq)
}

// tellDropped sends a channel's subscribers a gap notice for the messages from number seq on, the
// first after since.
func (s *shard) tellDropped(ch index.Channel, channel string, since message.Position, seq uint32) {
	if !s.overrun[ch] {
		s.overrun[ch] = true
		s.srv.net.Limited.Warn(s.log, "messages arrive faster than they can be delivered: dropping some", "channel", channel)
		s.index.Publish(ch, gapNotice(channel, fanout.Gap{Since: since, Reason: fanout.GapSlow, Seq: seq}))
	}
}

// tellOverrun sends a gap notice to a client that begins at a position while the channel's messages
// are being dropped. The others got one where that began. If there is room again the overrun ends
// here: should the next message be dropped, all are told.
func (s *shard) tellOverrun(i uint32, c *client, ch index.Channel, since message.Position) {
	if _, bytes := s.index.Pending(); bytes < s.room {
		delete(s.overrun, ch)
		return
	}
	gap := gapNotice(s.index.Name(ch), fanout.Gap{Since: since, Reason: fanout.GapSlow})
	if b := gap.Encoded(c.form()); len(b) > 0 {
		s.conns.SendCopy(i, b)
	}
}

// gapNotice returns a notice to the subscribers of a channel, in order with its messages, that some
// of these may be lost. The broker counts a gap like a message, so later subscribers don't see it.
func gapNotice(channel string, g fanout.Gap) *message.Message {
	return gapNoticeSince(channel, g.Since.String(), g)
}

// gapNoticeSince is gapNotice with the position that the client asked from.
func gapNoticeSince(channel, since string, g fanout.Gap) *message.Message {
	text, err := json.Marshal(struct {
		Type    string           `json:"type"`
		Channel string           `json:"channel"`
		Since   string           `json:"since"`
		Reason  fanout.GapReason `json:"reason"`
	}{"gap", channel, since, g.Reason})
	if err != nil {
		panic(err) // four strings always encode
	}
	return message.NewNotice(channel, g.Seq-1, func(f message.Form) []byte {
		switch f {
		case message.FormText:
			return wsframe.AppendFrame(nil, ws.OpText, text)
		case message.FormEvent, message.FormRawEvent:
			return append(append([]byte("event: gap\ndata: "), text...), "\n\n"...)
		}
		return nil // bare payloads can't carry it
	})
}
