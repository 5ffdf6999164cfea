package fanout

import "github.com/pushgate/pushgate/fanout/message"

// Replay holds the messages that a returning client has missed, or a page of them.
type Replay struct {
	// Messages is everything after the asked position up to Position, shared with other
	// replays. Done says that they aren't needed any more.
	Messages []*message.Message
	// More says that the stream has more after Position, which Broker.ReplayMore goes on with.
	// Else Position stands for Seq, and later messages arrive by Deliver.
	More bool
	Seq  uint32
	// Position resumes after Messages. Plain does so at Seq on this node, for as long as
	// its ring reaches back to it; it is zero if there is more.
	Position, Plain message.Position
	// Before is a durable position that Messages follow without a hole.
	Before message.Position
	// Gap is set when messages are missing before or among Messages.
	Gap *Gap
	// DurableOnly says that the channel has a stream and nothing was received or lost here that
	// isn't in it.
	DurableOnly bool
	// Followed is the number of a plain position from which on this node has followed the
	// channel, so that Gap covers all plain messages missed.
	Followed uint64

	size int    // of the stream's entries
	told uint64 // the time of the last plain message that may have been lost, as far as Gap has reported it
	loan *loan  // nil: Messages are in the ring
}

const (
	// Overlap is how many milliseconds before a time a replay from it begins: by more
	// than messages of different channels overtake each other, and clocks differ.
	Overlap = 10_000
	// overtake is how far a ring has to reach back before a time at least.
	overtake = 1000
)

// Replay catches up with a channel from a position. done is called exactly once, unless ctx of
// Run ends or the Request is cancelled before, and like a Sink method: with the channel's lock
// held, within this call when the ring has all of it, else when the channel is live and its
// stream has been read. Messages delivered before done are at or below its Seq, those after it
// are above. A stream is read in pages of about 256 KiB: see ReplayMore.
//
// A plain position is exact while the ring reaches back to it, a durable one while the stream
// does. A position that can't be honoured, because it is of another node, from the future or no
// longer kept, gives the newest config.ReplayMessages of the rest, and a Gap of reason history.
func (b *Broker) Replay(channel string, since message.Position, done func(Replay)) *Request {
	return b.link(channel).replay(channel, &Request{since: since, done: done})
}

// ReplayTime is Replay for a client that had the channel at a time, in milliseconds since 1970,
// such as the time of another channel's message. It begins a little before. Where the channel's
// subscription here is older than that time, nothing is missing that the ring still has.
func (b *Broker) ReplayTime(channel string, ms uint64, done func(Replay)) *Request {
	return b.link(channel).replay(channel, &Request{since: message.Position{Ms: ms - min(ms, Overlap)}, time: true, done: done})
}

// ReplayNewest is Replay for a client without a position that wants the newest n messages, at
// most config.ReplayMessages, and those after them: from the ring, and from the stream where
// the ring has fewer and there is one. Older messages are no Gap.
func (b *Broker) ReplayNewest(channel string, n int, done func(Replay)) *Request {
	return b.link(channel).replay(channel, &Request{newest: int32(min(n, b.config.ReplayMessages)), done: done})
}

// ReplayMore is Replay for the messages after a page with More. Messages that are trimmed, or
// lost in the ring, between the two are a Gap.
func (b *Broker) ReplayMore(channel string, r *Replay, done func(Replay)) *Request {
	return b.link(channel).replay(channel, &Request{
		since: r.Position, found: true, start: r.Position.StreamID(), told: r.told, size: int32(r.size), done: done,
	})
}

// Done says that the caller needs no message of r any more. It is called for each Replay,
// or the broker reads no streams once pages of 16 MiB are out.
func (r *Replay) Done() {
	if r.loan != nil {
		r.loan.release()
		r.loan = nil
	}
}

func (l *subscriptions) replay(channel string, w *Request) *Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, t := l.open(channel)
	if t.sinks == 0 && t.flags&topicLingers == 0 {
		l.linger(id, t)
	}
	if t.state == topicLive && l.fromRing(t, w) {
		return w
	}
	waits := l.waits[id]
	if waits == nil {
		waits = &replayWaits{}
		l.waits[id] = waits
	}
	waits.add(w)
	if t.state == topicLive {
		l.queueReplay(id)
	}
	return w
}

// fromRing answers w when the ring has all that is needed. The caller holds mu.
func (l *replays) fromRing(t *topic, w *Request) bool {
	r := t.ring
	if r == nil {
		r = newRing(t)
	}
	i, complete := 0, true
	switch {
	case w.lost:
		return false
	case w.newest > 0:
		if r.n < int(w.newest) && !r.bottom && !r.base.IsZero() {
			return false
		}
		i = max(0, r.n-int(w.newest))
	case w.time && r.reaches(w.since.Ms) && r.base.Ms < w.since.Ms:
		i = r.afterTime(w.since.Ms)
	case w.since.Durable():
		id := w.since.StreamID()
		if w.time && !t.last.IsZero() && t.last.Less(id) {
			id = t.last
		}
		if id.Less(r.base) || t.last.Less(id) {
			return false
		}
		i = r.afterDurable(id)
		if w.time {
			// A message lost since the last durable one before that time may have been lost
			// after it.
			id = r.base
			if i > 0 {
				id = r.at(i - 1).ID.StreamID()
			}
		}
		complete = r.complete(id) || r.lostAt <= w.told
	default:
		if w.since.Node != l.b.node || w.since.Seq > l.clock.last {
			return false
		}
		if i, complete = r.afterPlain(w.since.Seq); !complete {
			return false
		}
	}
	l.answer(t, w, Replay{Before: r.before(i).Position(), Messages: r.from(nil, i)}, complete)
	return true
}

// answer completes a and calls done. The caller holds mu.
func (l *replays) answer(t *topic, w *Request, a Replay, complete bool) {
	l.b.counters.replays.Add(1)
	a.Seq, a.DurableOnly, a.Followed = t.seq, t.durableOnly(), l.clock.spanStart(t.live)
	if !a.More {
		a.Position, a.Plain = l.position(t), l.here()
	}
	a.told = w.told
	if t.ring != nil {
		a.told = max(a.told, t.ring.lostAt)
	}
	if !complete {
		l.b.counters.historyGaps.Add(1)
		a.Gap = &Gap{Since: w.since, Reason: GapHistory, Seq: a.Seq}
		a.told = l.clock.last
	}
	w.gone.Store(true)
	w.done(a)
}

// Recent is the messages of a channel after one of them, as far as this node has them.
type Recent struct {
	Messages []*message.Message // shared
	// Durable and Plain resume after the last of Messages; Durable is zero where the
	// channel has no stream.
	Durable, Plain message.Position
	// Lossy says that a durable position alone doesn't tell all, because there were plain
	// messages or losses.
	Lossy bool
	// Complete says that nothing is missing before Messages. It is false after a gap, and
	// when the channel's ring doesn't reach back far enough.
	Complete bool
}

// DurableOnly is Replay.DurableOnly for r.
func (r *Recent) DurableOnly() bool { return !r.Durable.IsZero() && !r.Lossy }

// Since returns the messages of a channel after the one numbered seq. It never waits for
// Redis: the sink has to have joined the channel, and seq to be not older than that.
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
