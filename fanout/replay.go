package fanout

import (
	"context"
	"sort"
)

// replayers is how many streams a link reads at the same time.
const replayers = 4

// Replay is what a client that comes back has missed.
type Replay struct {
	// Messages is everything after the asked position up to Seq, shared with
	// other replays; what follows Seq comes by Deliver.
	Messages []*Message
	Seq      uint32
	// Position resumes at Seq. Plain does on this node, for as long as its ring
	// reaches back to it.
	Position, Plain Position
	// Before is a durable position from which Messages are exactly what follows.
	Before Position
	// Gap is set when messages are missing before or among Messages.
	Gap *Gap
	// DurableOnly says that the channel has a stream and nothing came or was
	// lost here that isn't in it.
	DurableOnly bool
	// Followed is the number of a plain position from which on this node has
	// followed the channel, so that Gap tells of all plain messages missed.
	Followed uint64
}

const (
	// Overlap is how many milliseconds before a time a replay from it begins: by
	// more than messages of different channels overtake each other, and clocks
	// differ.
	Overlap = 10_000
	// overtake is how far a ring has to reach back before a time at least.
	overtake = 1000
)

// Replay catches up with a channel from a position. done is called exactly
// once, unless ctx of Run ends or the Wait is cancelled before, and like a
// Member method: with the channel's lock held, within this call when the ring
// has all of it, else when the channel is live and its stream has been read.
// Messages delivered before done are at or below its Seq, those after it are
// above.
//
// A plain position is exact while the ring reaches back to it, a durable one
// while the stream does. A position that can't be honoured, because it is of
// another node, from the future or no longer kept, gives the newest
// config.ReplayMessages of what is left, and a Gap of reason history.
func (b *Broker) Replay(channel string, since Position, m Member, done func(Replay)) *Wait {
	return b.link(channel).replay(channel, &Wait{since: since, done: done})
}

// ReplayTime is Replay for a client that had the channel at a time, in
// milliseconds since 1970, such as that of another channel's message. It begins a
// little before. Where the channel's subscription here is older than that time,
// nothing is missing that the ring still has.
func (b *Broker) ReplayTime(channel string, ms uint64, m Member, done func(Replay)) *Wait {
	return b.link(channel).replay(channel, &Wait{since: Position{Ms: ms - min(ms, Overlap)}, time: true, done: done})
}

// ReplayNewest is Replay for a client without a position that wants the newest n
// messages, at most config.ReplayMessages, and what follows them: from the ring,
// and from the stream where the ring has fewer and there is one. What is older is
// no Gap.
func (b *Broker) ReplayNewest(channel string, n int, m Member, done func(Replay)) *Wait {
	return b.link(channel).replay(channel, &Wait{newest: min(n, b.config.ReplayMessages), done: done})
}

func (l *link) replay(channel string, w *Wait) *Wait {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, t := l.open(channel)
	if t.members == 0 && t.flags&topicLingers == 0 {
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
func (l *link) fromRing(t *topic, w *Wait) bool {
	r := t.ring
	if r == nil {
		r = newRing(t)
	}
	i, complete := 0, true
	switch {
	case w.lost:
		return false
	case w.newest > 0:
		if r.n < w.newest && !r.bottom && !r.base.isZero() {
			return false
		}
		i = max(0, r.n-w.newest)
	case w.time && r.reaches(w.since.Ms) && r.base.ms < w.since.Ms:
		i = r.afterTime(w.since.Ms)
	case w.since.Durable():
		id := idOf(w.since)
		if w.time && !t.last.isZero() && t.last.less(id) {
			id = t.last
		}
		if id.less(r.base) || t.last.less(id) {
			return false
		}
		i = r.afterDurable(id)
		if w.time {
			// What was lost since the last durable message before that time
			// may have been lost after it.
			id = r.base
			if i > 0 {
				id = idOf(r.at(i - 1).ID)
			}
		}
		complete = r.complete(id)
	default:
		if w.since.Node != l.b.node || w.since.Seq > l.at {
			return false
		}
		if i, complete = r.afterMoment(w.since.Seq); !complete {
			return false
		}
	}
	l.answer(t, w, r.before(i), r.from(nil, i), complete)
	return true
}

// answer calls done. The caller holds mu.
func (l *link) answer(t *topic, w *Wait, before streamID, messages []*Message, complete bool) {
	l.b.counters.replays.Add(1)
	a := Replay{Messages: messages, Before: before.position(), Seq: t.seq, Position: l.position(t), Plain: l.here(), DurableOnly: t.durableOnly(), Followed: l.spanStart(t.live)}
	if !complete {
		l.b.counters.historyGaps.Add(1)
		a.Gap = &Gap{Since: w.since, Reason: GapHistory, Seq: a.Seq}
	}
	w.done(a)
}

// replayer serves topics from the queue until ctx ends.
func (l *link) replayer(ctx context.Context) {
	var p portion
	for {
		id, ok := l.nextReplay()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-l.replays:
			}
			continue
		}
		if !retry(ctx, &p, func() error { return l.serve(ctx, id, &p) }) {
			return
		}
	}
}

// serve reads a topic's stream as often as it takes to answer all waits.
func (l *link) serve(ctx context.Context, id uint32, p *portion) error {
	for {
		l.mu.Lock()
		t := l.topics.at(id)
		from, most, ahead, left := l.serveRings(id, t)
		name, last := t.name, t.last
		l.mu.Unlock()
		if !left {
			return nil
		}
		if ahead {
			if err := l.pull(ctx, id, name, last, p); err != nil {
				return err
			}
			continue
		}
		h, err := l.readHistory(ctx, name, from, last, most, p)
		if err != nil {
			return err
		}
		for {
			received, ok := l.serveHistory(id, t, h)
			if ok {
				break
			}
			if err := l.extend(ctx, name, &h, received, p); err != nil {
				return err
			}
		}
	}
}

// serveRings answers the waits of a topic that its ring can answer, and says
// from where the stream must be read for the others, and how many entries at
// most. ahead: some position is beyond what has been received, so the stream must
// be read up to it first. Those who want the newest messages are served behind
// those with positions, unless one read does for both. The caller holds mu.
func (l *link) serveRings(id uint32, t *topic) (from streamID, most int, ahead, left bool) {
	waits := l.waits[id]
	waits.forgetGone()
	keep := waits.list[:0]
	first := true
	for _, w := range waits.list {
		if l.fromRing(t, w) {
			continue
		}
		if w.newest > 0 {
			most = max(most, w.newest+1) // the first stays the base of the others in the ring
			keep = append(keep, w)
			continue
		}
		start := streamID{}
		switch {
		case !w.since.Durable():
			w.lost = true
		case w.lost:
		default:
			start = idOf(w.since)
			ahead = ahead || t.last.less(start)
		}
		if first || start.less(from) {
			first, from = false, start
		}
		keep = append(keep, w)
	}
	clear(waits.list[len(keep):])
	waits.list = keep
	if len(keep) == 0 {
		delete(l.waits, id)
	}
	if !first {
		most = l.b.config.ReplayMessages
	}
	return from, most, ahead, len(keep) > 0
}

// pull delivers what the stream has beyond last, ahead of its publication. A
// client may be ahead of this node by the time a message takes to get here.
// Positions that are still beyond the end are of another stream.
func (l *link) pull(ctx context.Context, id uint32, name string, last streamID, portion *portion) error {
	for more := true; more; {
		p, err := l.pageAfter(ctx, name, last, portion)
		if err != nil {
			return err
		}
		l.mu.Lock()
		if err := ctx.Err(); err != nil {
			l.mu.Unlock()
			return err
		}
		t := l.topics.at(id)
		if len(p.entries) > 0 && !p.complete && !last.isZero() && t.last.less(p.entries[0].id) {
			// What was trimmed, and hasn't come meanwhile, is passed over, and
			// dropped when it comes.
			l.tellGap(t, GapHistory)
		}
		l.acceptPage(id, t, p)
		last, more = t.last, p.more
		if !more {
			for _, w := range l.waits[id].list {
				w.lost = w.lost || w.since.Durable() && t.last.less(idOf(w.since))
			}
		}
		l.mu.Unlock()
	}
	return nil
}

// serveHistory answers the waits that h reaches. It is not ok when h ends
// before the ring begins.
func (l *link) serveHistory(id uint32, t *topic, h history) (received streamID, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rings.of(id, t, l.now())
	if h.to.less(r.base) {
		return t.last, false
	}
	if len(h.entries) > 0 && h.entries[0].id == r.first {
		h.whole = true
		h.complete = h.complete || h.from.isZero()
	}
	old, lost := h.messages(l.topics.channel(t), r.base, r.baseSeq(t.seq), &l.b.oversize)
	all := r.from(old[:len(old):len(old)], 0)
	short := h.most < l.b.config.ReplayMessages // it was read for those who want the newest
	waits := l.waits[id]
	waits.forgetGone()
	keep := waits.list[:0]
	for _, w := range waits.list {
		switch since := idOf(w.since); {
		case l.fromRing(t, w):
		case w.newest > 0 && (len(all) >= w.newest || h.from.isZero() && h.most > w.newest):
			i := max(0, len(all)-w.newest)
			l.answer(t, w, h.before(old, i, r), all[i:], true)
		case w.lost && h.from.isZero() && !short:
			l.answer(t, w, streamID{}, all, false)
		case w.newest > 0, w.lost, !w.since.Durable(), since.less(h.from), t.last.less(since), short && !h.covers(since):
			keep = append(keep, w) // came during the read; the next one is for it
		default:
			i := sort.Search(len(old), func(i int) bool { return since.less(idOf(old[i].ID)) })
			complete := r.complete(since)
			if w.time && r.hasLost {
				complete = r.reaches(w.since.Ms) || i > 0 && r.complete(idOf(old[i-1].ID))
			}
			before := streamID{} // of the whole stream
			switch {
			case i > 0:
				before = idOf(old[i-1].ID)
			case h.complete && since == h.from, len(h.entries) > 0 && !since.less(h.entries[0].id):
				before = since
			}
			complete = complete && !since.less(lost)
			l.answer(t, w, before, all[i:], complete && (h.covers(since) || w.time && h.whole))
		}
	}
	clear(waits.list[len(keep):])
	waits.list = keep
	l.keepHistory(id, t, h, old, lost)
	return t.last, true
}

// keepHistory puts what was read into the ring, of one piece: a node that starts or
// lost its connections meets the same positions again and again.
func (l *link) keepHistory(id uint32, t *topic, h history, old []*Message, lost streamID) {
	switch {
	case !lost.isZero():
		if i := sort.Search(len(old), func(i int) bool { return lost.less(idOf(old[i].ID)) }); i < len(old) {
			l.rings.pushHistory(&l.topics, id, t, old[i:], lost, l.now())
		}
	case h.complete && h.from.less(t.ring.base):
		l.rings.pushHistory(&l.topics, id, t, old, h.from, l.now())
	case h.from.isZero() && !h.cut && len(old) > 0:
		base := idOf(old[0].ID).before()
		l.rings.pushHistory(&l.topics, id, t, old, base, l.now())
		t.ring.bottom = t.ring.base == base
	case h.from.isZero() && !h.cut:
		t.ring.bottom = true
	case !h.complete && len(old) > 1:
		l.rings.pushHistory(&l.topics, id, t, old[1:], idOf(old[0].ID), l.now())
	}
}
