package client

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

// intake takes the messages that the broker has for a loop. It counts those that the loop hasn't
// taken yet. The broker can't wait for a busy loop, so there must be a bound. It is reached when messages
// arrive faster than a loop takes them, which is far faster than it can deliver them.
type intake struct {
	// Immutable
	hub  *Hub
	room int64 // maxHandover, less in tests

	// Owned by the loop
	overrun map[index.Channel]bool // channels whose messages are being dropped
	pending int                    // most bytes that may await delivery: MaxPending, less in tests

	// Atomic
	bytes   atomic.Int64 // of messages
	dropped atomic.Int32 // channels in drops

	// Guarded by mu
	mu    sync.Mutex
	drops map[string]uint64 // messages dropped, by channel, that the loop hasn't been told of yet
}

const (
	// maxHandover bounds the memory of the messages that wait for the loop.
	maxHandover = MaxPending
	// HandoverBytes is the overhead of a message besides its payload, including the posted
	// function.
	HandoverBytes = 300
)

// Deliver is called by the broker with a channel's next message.
func (s *intake) Deliver(m *message.Message) {
	size := int64(len(m.Payload) + len(m.User) + HandoverBytes)
	full := s.bytes.Load()+size > s.room
	if (full || s.dropped.Load() > 0) && !m.Notice() && s.passOver(m, full) {
		return
	}
	s.bytes.Add(size)
	s.hub.Post(func() {
		s.bytes.Add(-size)
		if ch, ok := s.hub.Channels.Index.Lookup([]byte(m.Channel)); ok {
			s.dispatch(ch, m)
		}
	})
}

// passOver drops a message if there is no room, or if its predecessor in the channel was dropped
// and the loop hasn't been told yet: the loop is told once for all of them, in their place.
func (s *intake) passOver(m *message.Message, full bool) (dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, told := s.drops[m.Channel]
	if !told && !full {
		return false
	}
	s.drops[m.Channel] = n + 1
	if told {
		return true
	}
	s.dropped.Add(1)
	channel, since, seq := m.Channel, queue.PositionBefore(m), m.Seq // the message itself goes
	s.hub.Post(func() {
		s.mu.Lock()
		n := s.drops[channel]
		delete(s.drops, channel)
		s.dropped.Add(-1)
		s.mu.Unlock()
		s.hub.Stats.Drops[reasons.DropOverrun] += n
		if ch, ok := s.hub.Channels.Index.Lookup([]byte(channel)); ok {
			s.tellDropped(ch, channel, since, seq)
		}
	})
	return true
}

// MaxPending bounds the memory of the messages that await delivery on a loop, each with one
// encoding. It is reached only when publishers are faster than the machine can write.
const MaxPending = 64 << 20

// dispatch queues a message for delivery to the channel's subscribers. When the loop can't keep up
// the message is dropped, and they get a gap notice where that began.
func (s *intake) dispatch(ch index.Channel, m *message.Message) {
	if _, bytes := s.hub.Channels.Index.Pending(); bytes < s.pending || m.Notice() {
		delete(s.overrun, ch)
		s.hub.Channels.Index.Publish(ch, m)
		return
	}
	s.hub.Stats.Drops[reasons.DropOverrun]++
	s.tellDropped(ch, m.Channel, queue.PositionBefore(m), m.Seq)
}

// tellDropped sends a channel's subscribers a gap notice for the messages from number seq on, the
// first after since.
func (s *intake) tellDropped(ch index.Channel, channel string, since message.Position, seq uint32) {
	if !s.overrun[ch] {
		s.overrun[ch] = true
		s.hub.Net.Limited.Warn(s.hub.Log, "messages arrive faster than they can be delivered: dropping some", "channel", channel)
		s.hub.Channels.Index.Publish(ch, GapNotice(channel, fanout.Gap{Since: since, Reason: fanout.GapSlow, Seq: seq}))
	}
}

// follows sends a gap notice to a client that begins at a position while the channel's messages are
// being dropped. The others got one where that began. If there is room again the overrun ends here:
// should the next message be dropped, all are told.
func (s *intake) follows(i uint32, ch index.Channel, since message.Position) {
	if !s.overrun[ch] {
		return
	}
	if _, bytes := s.hub.Channels.Index.Pending(); bytes < s.pending {
		delete(s.overrun, ch)
		return
	}
	gap := GapNotice(s.hub.Channels.Index.Name(ch), fanout.Gap{Since: since, Reason: fanout.GapSlow})
	if b := gap.Encoded(s.hub.FormOf(i)); len(b) > 0 {
		s.hub.Conns.Out.SendCopy(i, b)
	}
}

// Joined is called by the broker once messages of the channel arrive.
func (s *intake) Joined(channel string, at fanout.Joined) {
	s.hub.Post(func() { s.hub.Channels.joined(channel, at) })
}

// Gap is called by the broker when messages may have been lost.
func (s *intake) Gap(channel string, g fanout.Gap) { s.Deliver(GapNotice(channel, g)) }

// GapNotice returns a notice to the subscribers of a channel, in order with its messages, that some
// of these may be lost. The broker counts a gap like a message, so later subscribers don't see it.
func GapNotice(channel string, g fanout.Gap) *message.Message {
	return GapNoticeSince(channel, g.Since.String(), g)
}

// GapNoticeSince is GapNotice with the position that the client asked from.
func GapNoticeSince(channel, since string, g fanout.Gap) *message.Message {
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
