package fanout

import (
	"context"
	"slices"
)

// history is the newest part of what a stream holds between two positions.
type history struct {
	from, to streamID
	most     int     // entries that were asked for, from its end back
	entries  []entry // oldest first
	complete bool    // nothing after from is missing
	whole    bool    // it's a stream of which nothing was ever removed
	cut      bool    // the stream may have more after from than entries
}

// readHistory reads a stream from its end back to a position, at most so many
// entries: who is further behind gets the newest ones. received is the last durable
// message that has been received already, so the stream reaches at least that far.
func (l *link) readHistory(ctx context.Context, name string, from, received streamID, most int, p *portion) (history, error) {
	l.b.counters.historyReads.Add(1)
	key := l.b.names.stream(name)
	h := history{from: from, to: received, most: most}
	end := "+"
	for {
		limit := min(p.of(pageEntries), most-len(h.entries)+1)
		pipe := l.b.servers.client.Pipeline()
		read := pipe.XRevRangeN(ctx, key, end, beyond(from, "-"), int64(limit))
		first, info := pipe.XRangeN(ctx, key, "-", "+", 1), pipe.XInfoStream(ctx, key)
		_, _ = pipe.Exec(ctx)
		entries, err := entriesOf(read)
		if err != nil {
			return h, err
		}
		if h.whole, err = whole(info); err != nil {
			return h, err
		}
		if h.complete, err = reachesBack(first, from); err != nil {
			return h, err
		}
		h.complete = h.complete || h.whole && from.isZero()
		h.entries = append(h.entries, entries...)
		if len(h.entries) > most {
			h.entries, h.complete, h.whole, h.cut = h.entries[:most], false, false, true
			break
		}
		if len(entries) < limit {
			break
		}
		end = beyond(entries[len(entries)-1].id, "+")
	}
	slices.Reverse(h.entries)
	if n := len(h.entries); n > 0 && h.to.less(h.entries[n-1].id) {
		h.to = h.entries[n-1].id
	}
	return h, nil
}

// extend reads on from the end of h, at least up to received: so many messages
// came during the read that the ring no longer reaches back to it.
func (l *link) extend(ctx context.Context, name string, h *history, received streamID, portion *portion) error {
	for more := true; more; {
		p, err := l.pageAfter(ctx, name, h.to, portion)
		if err != nil {
			return err
		}
		if !p.complete {
			// Trimmed behind h: only what comes after the hole is of one piece.
			h.entries, h.complete, h.whole = nil, false, false
		}
		h.entries = append(h.entries, p.entries...)
		if over := len(h.entries) - h.most; over > 0 {
			h.entries, h.complete, h.whole, h.cut = h.entries[over:], false, false, true
		}
		if n := len(p.entries); n > 0 {
			h.to = p.entries[n-1].id
		}
		more = p.more
	}
	if h.to.less(received) {
		h.to = received
	}
	return nil
}

// messages makes the messages of h up to a position, in order, to be shared
// by all who wait for them. Seq is below those of the messages that follow. lost is
// the last of those that are left out because they are too large, zero for none.
func (h history) messages(channel string, to streamID, seq uint32, o *oversize) (list []*Message, lost streamID) {
	list = make([]*Message, 0, len(h.entries))
	for _, e := range h.entries {
		if to.less(e.id) {
			break
		}
		if o.is(e.payload) {
			lost = e.id
			continue
		}
		if !e.foreign {
			m := NewMessage(channel, e.id.position(), seq, []byte(e.payload))
			m.User = e.user
			list = append(list, m)
		}
	}
	return list, lost
}

// covers reports whether nothing is missing between id and the first entry
// that h gives after it.
func (h history) covers(id streamID) bool {
	return h.complete || len(h.entries) > 0 && !id.less(h.entries[0].id)
}

// before returns the durable position before message i of those that h and then
// r hold; old are those of h.
func (h history) before(old []*Message, i int, r *ring) streamID {
	switch {
	case i > len(old):
		return r.before(r.history + i - len(old))
	case i > 0:
		return idOf(old[i-1].ID)
	case len(old) > 0 && !h.complete:
		return idOf(old[0].ID).before()
	}
	return streamID{} // of the whole stream
}
