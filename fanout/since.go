package fanout

import "github.com/pushgate/pushgate/fanout/message"

// Recent is what a channel got after some place, as far as this node has it.
type Recent struct {
	Messages []*message.Message // shared
	// Durable and Plain resume after the last of Messages; Durable is zero
	// where the channel has no stream.
	Durable, Plain message.Position
	// Lossy says that a durable position alone doesn't tell all, because there
	// were plain messages or losses.
	Lossy bool
	// Complete says that nothing is missing before Messages. It is false after
	// a gap, and when the channel's ring doesn't reach back far enough.
	Complete bool
}

// DurableOnly is that of Replay.
func (r *Recent) DurableOnly() bool { return !r.Durable.IsZero() && !r.Lossy }

// Since returns what a channel got after its message seq. It never waits for
// Redis: the member has to have joined the channel, and seq to be not older
// than that.
func (b *Broker) Since(channel string, seq uint32) Recent {
	l := b.link(channel)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, t := l.topics.find(channel)
	if t == nil {
		return Recent{}
	}
	r := Recent{Plain: l.here(), Lossy: t.lossy()}
	if !t.last.IsZero() {
		r.Durable = t.last.Position()
	}
	behind := t.seq - seq
	if behind == 0 {
		r.Complete = true
		return r
	}
	if t.ring == nil {
		return r
	}
	i, complete := t.ring.last(behind)
	r.Messages, r.Complete = t.ring.from(nil, i), complete
	return r
}
