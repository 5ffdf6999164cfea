package fanout

import "github.com/pushgate/pushgate/fanout/message"

// ChannelInfo is what this node knows of a channel.
type ChannelInfo struct {
	// Known is false for a channel that nobody here subscribed to lately; the
	// rest is zero then.
	Known bool
	// Live says that the messages of the channel come in.
	Live bool
	// Durable is the last durable message that came, zero without one.
	Durable message.Position
	// Plain is where the channel stands on this node.
	Plain message.Position
	// RingMessages and RingBytes are what is kept here for those who come back,
	// RingFirst the id of the oldest of these messages; it is zero
	// when nothing is kept.
	RingMessages int
	RingBytes    int
	RingFirst    message.Position
}

// Inspect tells what this node knows of a channel. It asks nothing of Redis.
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
