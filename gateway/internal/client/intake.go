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
func (in *intake) Deliver(m *message.Message) {
	size := int64(len(m.Payload) + len(m.User) + HandoverBytes)
	full := in.bytes.Load()+size > in.room
	if (full || in.dropped.Load() > 0) && !m.Notice() && in.passOver(m, full) {
		return
	}
	in.bytes.Add(size)
	in.hub.Post(func() {
		in.bytes.Add(-size)
		if ch, ok := in.hub.Channels.Index.Lookup([]byte(m.Channel)); ok {
			in.dispatch(ch, m)
		}
	})
}

// passOver drops a message if there is no room, or if its predecessor in the channel was dropped
// and the loop hasn't been told yet: the loop is told once for all of them, in their place.
func (in *intake) passOver(m *message.Message, full bool) (dropped bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, told := in.drops[m.Channel]
	if !told && !full {
		return false
	}
	in.drops[m.Channel] = n + 1
	if told {
		return true
	}
	in.dropped.Add(1)
	channel, since, seq := m.Channel, queue.PositionBefore(m), m.Seq // the message itself goes
	in.hub.Post(func() {
		in.mu.Lock()
		n := in.drops[channel]
		delete(in.drops, channel)
		in.dropped.Add(-1)
		in.mu.Unlock()
		in.hub.Stats.Drops[reasons.DropOverrun] += n
		if ch, ok := in.hub.Channels.Index.Lookup([]byte(channel)); ok {
			in.noticeDropped(ch, channel, since, seq)
		}
	})
	return true
}

// MaxPending bounds the memory of the messages that await delivery on a loop, each with one
// encoding. It is reached only when publishers are faster than the machine can write.
const MaxPending = 64 << 20

// dispatch queues a message for delivery to the channel's subscribers. When the loop can't keep up
// the message is dropped, and they get a gap notice where that began.
func (in *intake) dispatch(ch index.Channel, m *message.Message) {
	if _, bytes := in.hub.Channels.Index.Pending(); bytes < in.pending || m.Notice() {
		delete(in.overrun, ch)
		in.hub.Channels.Index.Publish(ch, m)
		return
	}
	in.hub.Stats.Drops[reasons.DropOverrun]++
	in.noticeDropped(ch, m.Channel, queue.PositionBefore(m), m.Seq)
}

// noticeDropped sends a channel's subscribers a gap notice for the messages from number seq on, the
// first after since.
func (in *intake) noticeDropped(ch index.Channel, channel string, since message.Position, seq uint32) {
	if !in.overrun[ch] {
		in.overrun[ch] = true
		in.hub.Net.Limited.Warn(in.hub.Log, "messages arrive faster than they can be delivered: dropping some", "channel", channel)
		in.hub.Channels.Index.Publish(ch, GapNotice(channel, fanout.Gap{Since: since, Reason: fanout.GapSlow, Seq: seq}))
	}
}

// follows sends a gap notice to a client that begins at a position while the channel's messages are
// being dropped. The others got one where that began. If there is room again the overrun ends here:
// should the next message be dropped, all are told.
func (in *intake) follows(i uint32, ch index.Channel, since message.Position) {
	if !in.overrun[ch] {
		return
	}
	if _, bytes := in.hub.Channels.Index.Pending(); bytes < in.pending {
		delete(in.overrun, ch)
		return
	}
	gap := GapNotice(in.hub.Channels.Index.Name(ch), fanout.Gap{Since: since, Reason: fanout.GapSlow})
	if b := gap.Encoded(in.hub.FormOf(i)); len(b) > 0 {
		in.hub.Conns.Out.SendCopy(i, b)
	}
}

// Joined is called by the broker once messages of the channel arrive.
func (in *intake) Joined(channel string, at fanout.Joined) {
	in.hub.Post(func() { in.hub.Channels.joined(channel, at) })
}

// Gap is called by the broker when messages may have been lost.
func (in *intake) Gap(channel string, g fanout.Gap) { in.Deliver(GapNotice(channel, g)) }

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
