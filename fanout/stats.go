package fanout

import (
	"sync/atomic"

	"github.com/pushgate/pushgate/fanout/message"
)

// Stats is the broker's counts, for metrics.
type Stats struct {
	// Counted since the start.

	Messages        uint64 // received from Redis, without duplicates
	Durable         uint64 // of Messages, with a stream id
	Duplicates      uint64 // durable messages that had been delivered already
	BrokerGaps      uint64 // channels that may have lost messages while Redis was away
	HistoryGaps     uint64 // channels and replays whose history is gone
	Reconnects      uint64
	Subscribes      uint64 // SUBSCRIBE commands
	Unsubscribes    uint64 // UNSUBSCRIBE commands
	Replays         uint64 // answered
	HistoryReads    uint64 // reads of a stream for replays and catching up
	Published       uint64
	PublishErrors   uint64
	Failures        map[FailureKind]uint64 // of PublishErrors, by Redis
	ProbesMissed    uint64
	TooLarge        uint64 // messages passed over, see LimitPayload
	MessagesDropped uint64 // for channels that were no longer wanted, or more than is held until they are live

	// Held now.

	Channels  int
	Lingering int // of Channels, without subscribers
	RingBytes int
	Links     []LinkStats
}

// LinkStats is one connection to Redis.
type LinkStats struct {
	Label     string
	Up        bool
	Err       string // why it isn't
	Channels  int
	Lingering int // of Channels, without subscribers
	Pending   int // channels that aren't live yet
}

type counters struct {
	messages, durable, duplicates, brokerGaps, historyGaps atomic.Uint64
	reconnects, subscribes, unsubscribes                   atomic.Uint64
	replays, historyReads, published, publishErrors        atomic.Uint64
	probesMissed, dropped                                  atomic.Uint64
}

// RingShare returns how much of Config.Ring.TotalBytes the rings take, mostly 0 to 1.
func (b *Broker) RingShare() float64 {
	sum := int64(0)
	for _, l := range b.links {
		sum += l.rings.bytes.Load()
	}
	return float64(sum) / float64(b.config.Ring.TotalBytes)
}

// Stats returns the present figures. It takes each link's lock for a moment.
func (b *Broker) Stats() Stats {
	c := &b.counters
	s := Stats{
		Messages:        c.messages.Load(),
		Durable:         c.durable.Load(),
		Duplicates:      c.duplicates.Load(),
		BrokerGaps:      c.brokerGaps.Load(),
		HistoryGaps:     c.historyGaps.Load(),
		Reconnects:      c.reconnects.Load(),
		Subscribes:      c.subscribes.Load(),
		Unsubscribes:    c.unsubscribes.Load(),
		Replays:         c.replays.Load(),
		HistoryReads:    c.historyReads.Load(),
		Published:       c.published.Load(),
		PublishErrors:   c.publishErrors.Load(),
		Failures:        b.failures.stats(),
		ProbesMissed:    c.probesMissed.Load(),
		TooLarge:        b.oversize.passed.Load(),
		MessagesDropped: c.dropped.Load(),
	}
	for _, l := range b.links {
		ls, bytes := l.stats()
		s.Links = append(s.Links, ls)
		s.Channels += ls.Channels
		s.Lingering += ls.Lingering
		s.RingBytes += bytes
	}
	return s
}

// ChannelInfo is this node's view of a channel.
type ChannelInfo struct {
	// Known is false for a channel without recent subscribers here; the rest is zero then.
	Known bool
	// Live says that the messages of the channel are received.
	Live bool
	// Durable is the last durable message received, zero without one.
	Durable message.Position
	// Plain is where the channel stands on this node.
	Plain message.Position
	// RingMessages and RingBytes are the messages kept for returning clients, RingFirst the id
	// of the oldest of these messages; it is zero when nothing is kept.
	RingMessages int
	RingBytes    int
	RingFirst    message.Position
}

// Inspect returns this node's view of a channel. It asks nothing of Redis.
func (b *Broker) Inspect(channel string) ChannelInfo {
	l := b.link(channel)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, t := l.topics.find(channel)
	if t == nil {
		return ChannelInfo{}
	}
	info := ChannelInfo{Known: true, Live: t.state == topicLive, Plain: message.Position{Node: l.b.node, Seq: t.at}}
	if !t.last.IsZero() {
		info.Durable = t.last.Position()
	}
	if r := t.ring; r != nil && r.n > 0 {
		info.RingMessages, info.RingBytes = r.n, r.size()
		info.RingFirst = r.at(0).ID
	}
	return info
}
