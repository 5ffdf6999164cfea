package fanout

import (
	"context"
	"sort"

	"github.com/pushgate/pushgate/fanout/message"
)

// replays is the layer of a link that catches clients up from the rings and the streams
// of its channels.
type replays struct {
	dispatcher
	streams streamReader

	// Immutable.

	mostLent int // bytes that are lent before no more is read

	// Sent by any goroutine that fills replaying, received by the replayers, never closed.

	replaysWake signal

	// Guarded by mu.

	waits     map[uint32]*replayWaits
	replaying []uint32 // topics of waits that a replayer should look at
	lent      int      // bytes that were read of streams and are still in use
	windows   windows
}

// replayers is the number of streams that a link reads at the same time.
const replayers = 4

// replayer serves topics from the queue until ctx ends.
func (l *replays) replayer(ctx context.Context) {
	var p pageSizer
	for {
		id, waits := l.nextReplay()
		if waits == nil {
			select {
			case <-ctx.Done():
				return
			case <-l.replaysWake:
			}
			continue
		}
		if !retry(ctx, &p, func() error { return l.serve(ctx, id, &p) }) {
			return
		}
		l.requeueReplay(id, waits)
	}
}

// serve reads once for the waits of a topic, as the first of them needs. The others are served
// too where the read suffices for them.
func (l *replays) serve(ctx context.Context, id uint32, p *pageSizer) error {
	l.mu.Lock()
	t := l.topics.at(id)
	n := l.serveRings(id, t)
	name, last := t.name, t.last
	l.mu.Unlock()
	switch {
	case n.ahead:
		return l.pull(ctx, id, name, last, p)
	case n.back > 0:
		s, h, err := l.streams.readBack(ctx, name, last, n.back, n.few, p)
		if err != nil {
			return err
		}
		l.begin(id, t, s)
		if h != nil {
			return l.serveAll(ctx, id, t, h, p)
		}
	case n.left:
		h, err := l.streams.readPage(ctx, name, n.from, last, n.size, p)
		if err != nil {
			return err
		}
		if most := l.b.config.ReplayMessages; !n.within && (h.length < 0 || h.length > int64(most)) && !(h.end && len(h.entries) <= most) {
			s, _, err := l.streams.readBack(ctx, name, last, most, most, p)
			if err != nil {
				return err
			}
			l.begin(id, t, s)
		}
		return l.serveAll(ctx, id, t, &h, p)
	}
	return nil
}

// serveAll serves h, which is read on first where so many messages arrived during the read that
// the ring no longer reaches back to it.
func (l *replays) serveAll(ctx context.Context, id uint32, t *topic, h *history, p *pageSizer) error {
	for {
		received, ok := l.serveHistory(id, t, *h)
		if ok {
			return nil
		}
		if err := l.streams.extend(ctx, t.name, h, received, p); err != nil {
			return err
		}
	}
}

// need is the part of a stream that the first of a topic's requests needs.
type need struct {
	left   bool             // there is a wait
	ahead  bool             // a position is beyond the last message received: the stream must be read up to it first
	back   int              // how many of the newest entries to find the start of; 0: the start is known
	few    int              // there may be fewer, and then it's the stream's
	from   message.StreamID // the start
	within bool             // no more than the newest config.ReplayMessages follow it
	size   int              // of the entries; 0: not known
}

// serveRings answers the waits of a topic that its ring can answer, and returns the need of the
// first of the others. The caller holds mu, which inTurns releases.
func (l *replays) serveRings(id uint32, t *topic) (n need) {
	waits := l.waits[id]
	for w := range l.inTurns(waits) {
		if l.fromRing(t, w) {
			continue
		}
		if w.newest == 0 && !w.lost {
			if !w.since.Durable() {
				w.lose()
			} else {
				n.ahead = n.ahead || t.last.Less(w.since.StreamID())
			}
		}
	}
	if waits.forgetGone(); len(waits.list) == 0 {
		delete(l.waits, id)
		return need{}
	}
	if s, ok := l.windows.get(t.name, t.seq, l.now()); ok {
		l.beginAll(t, waits, s)
	}
	w := waits.list[0]
	n.left = true
	start, known := w.from()
	switch {
	case known:
		n.from, n.within, n.size = start, w.found, int(w.size)
	case w.newest == 0:
		n.back = l.b.config.ReplayMessages
		n.few = n.back
	default:
		// Waits for not many more are served with it.
		for _, o := range waits.list {
			if o.newest <= max(2*w.newest, 64) {
				n.back = max(n.back, int(o.newest))
			}
		}
		n.few = int(w.newest) - t.kept()
	}
	return n
}

// begin tells the waits of a topic where the newest entries of its stream begin.
func (l *replays) begin(id uint32, t *topic, s starts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginAll(t, l.waits[id], s)
	l.windows.put(t.name, s, t.seq, l.now())
}

// beginAll is begin. The caller holds mu.
func (l *replays) beginAll(t *topic, waits *replayWaits, s starts) {
	base, kept := t.last, t.kept()
	if t.ring != nil {
		base = t.ring.base
	}
	window, ok := s.of(l.b.config.ReplayMessages, message.StreamID{})
	ok = ok && !t.last.Less(window) // else it's of another stream
	for _, w := range waits.list {
		switch {
		case w.found:
		case w.newest > 0:
			if w.start, w.found = s.of(max(0, int(w.newest)-kept), base); !w.found && len(s.ids) > int(w.newest) {
				w.start, w.found = s.ids[len(s.ids)-1], true // the newest are still on their way here
			}
		case !ok:
		case w.lost:
			w.start, w.found = window, true
		case w.since.Durable():
			w.start, w.found = w.since.StreamID(), true
			if w.start.Less(window) {
				w.start, w.lost = window, true
			}
		}
	}
}

// pull delivers the stream's messages beyond last, ahead of their publication. A client
// may be ahead of this node by the time a message takes to get here. Positions that are
// still beyond the end are of another stream.
func (l *replays) pull(ctx context.Context, id uint32, name string, last message.StreamID, pageSizer *pageSizer) error {
	for more := true; more; {
		p, err := l.streams.pageAfter(ctx, name, last, pageSizer)
		if err != nil {
			return err
		}
		l.mu.Lock()
		if err := ctx.Err(); err != nil {
			l.mu.Unlock()
			return err
		}
		t := l.topics.at(id)
		if len(p.entries) > 0 && !p.complete && !last.IsZero() && t.last.Less(p.entries[0].id) {
			// Trimmed messages that haven't arrived meanwhile are passed over, and dropped on
			// arrival.
			l.tellGap(t, GapHistory)
		}
		l.acceptPage(id, t, p)
		last, more = t.last, p.more
		if !more {
			for _, w := range l.waits[id].list {
				if w.newest == 0 && w.since.Durable() && t.last.Less(w.since.StreamID()) {
					w.lose()
				}
			}
		}
		l.mu.Unlock()
	}
	return nil
}

// serveHistory answers the waits whose positions are within h, up to the end of h or,
// where that reaches the ring, of all. It is not ok when h ends with the stream, as it
// was, and before the ring, though there is room for more.
func (l *replays) serveHistory(id uint32, t *topic, h history) (received message.StreamID, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rings.of(id, t, l.now())
	reaches, to := !h.to.Less(r.base), h.to
	switch {
	case reaches:
		to = r.base
	case h.end && h.bytes+h.size <= l.streams.page:
		return t.last, false
	}
	if len(h.entries) > 0 && h.entries[0].id == r.first {
		h.whole = true
		h.complete = h.complete || h.from.IsZero()
	}
	old, lost := h.messages(l.topics.channel(t), to, r.baseSeq(t.seq), &l.b.oversize)
	all := old
	if reaches {
		all = r.from(old[:len(old):len(old)], 0)
	}
	waits, seq, base := l.waits[id], t.seq, r.base
	unmoved := func() bool { return t.ring == r && r.base == base }
	loan := l.lend(h.bytes)
	for w := range l.inTurns(waits) {
		if t.seq != seq || !unmoved() {
			break // all and to are out of date: the next read answers the other waits
		}
		start, known := w.from()
		switch {
		case l.fromRing(t, w):
			continue
		case !known, start.Less(h.from), !reaches && !start.Less(to), w.isAhead(t):
			continue // for the next read
		}
		since := w.since.StreamID()
		i := sort.Search(len(old), func(i int) bool { return start.Less(old[i].ID.StreamID()) })
		complete := !w.lost
		if w.newest == 0 && complete {
			complete = r.complete(since) || r.lostAt <= w.told
			if w.time && r.hasLost {
				complete = r.reaches(w.since.Ms) || i > 0 && r.complete(old[i-1].ID.StreamID())
			}
			complete = complete && !since.Less(lost) && (h.covers(since, to) || w.time && h.whole)
		}
		if w.newest > 0 && reaches {
			i = max(i, len(all)-int(w.newest)) // more may have arrived meanwhile
		}
		a := Replay{Messages: all[i:], More: !reaches, Position: to.Position(), size: h.size, loan: loan.add()}
		switch {
		case i > len(old):
			a.Before = r.before(i - len(old)).Position()
		case i > 0:
			a.Before = old[i-1].ID
		case h.complete && start == h.from, len(h.entries) > 0 && !start.Less(h.entries[0].id):
			a.Before = start.Position()
		case w.newest > 0 && len(old) > 0 && !h.complete:
			a.Before = old[0].ID.StreamID().Before().Position()
		}
		l.answer(t, w, a, complete)
	}
	waits.forgetGone()
	loan.releaseLocked()
	if reaches && unmoved() {
		l.keepHistory(id, t, h, old, lost)
	}
	return t.last, true
}

// keepHistory puts the history into the ring, of one piece: a node that starts or lost
// its connections meets the same positions again and again.
func (l *replays) keepHistory(id uint32, t *topic, h history, old []*message.Message, lost message.StreamID) {
	switch {
	case !lost.IsZero():
		if i := sort.Search(len(old), func(i int) bool { return lost.Less(old[i].ID.StreamID()) }); i < len(old) {
			l.rings.pushHistory(&l.topics, id, t, old[i:], lost, l.now())
		}
	case h.complete && h.from.Less(t.ring.base):
		l.rings.pushHistory(&l.topics, id, t, old, h.from, l.now())
	case h.from.IsZero() && len(old) > 0:
		base := old[0].ID.StreamID().Before()
		l.rings.pushHistory(&l.topics, id, t, old, base, l.now())
		t.ring.bottom = t.ring.base == base
	case h.from.IsZero():
		t.ring.bottom = true
	case !h.complete && len(old) > 1:
		l.rings.pushHistory(&l.topics, id, t, old[1:], old[0].ID.StreamID(), l.now())
	}
}
