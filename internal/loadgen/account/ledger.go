package account

import (
	"math"
	"slices"
)

// maxHoles bounds the spans of missing messages that a ledger keeps apart,
// about 100 B each with the map around them.
const maxHoles = 1 << 18

// Ledger accounts for the messages of one loop's subscriptions. A subscription
// that gets its messages in order costs the 4 bytes of its last sequence
// number; only gaps in between are written down.
type Ledger struct {
	last  []uint32          // per subscription: the highest number seen
	holes map[uint32][]hole // per subscription with exceptions, ascending

	spans int // in all holes
	most  int
	// forgotten counts, per subscription, missing messages whose spans were given up for want
	// of room: they stay missing, but a late one is taken for a duplicate.
	forgotten map[uint32]uint64
	// away has, per subscription, the spans that passed while a proxy had cut its
	// connection: behind the last message before, up to the first one after.
	away map[uint32][]hole

	Delivered  uint64 // each message of each subscription once
	Duplicated uint64
	Reordered  uint64 // delivered, but after a later one
}

// hole is a span of numbers that were passed over, both ends inclusive.
type hole struct{ from, to uint32 }

// NewLedger returns the account of a number of subscriptions, from number 1 on.
func NewLedger(subscriptions int) Ledger {
	return Ledger{
		last:      make([]uint32, subscriptions),
		holes:     make(map[uint32][]hole),
		most:      maxHoles,
		forgotten: make(map[uint32]uint64),
		away:      make(map[uint32][]hole),
	}
}

// Observe books one delivery and reports whether it is the first of its
// message.
func (g *Ledger) Observe(sub, seq uint32) (first bool) {
	last := g.last[sub]
	switch {
	case seq == last+1:
	case seq > last:
		g.open(sub, hole{last + 1, seq - 1})
	case g.fill(sub, seq):
		g.Delivered++
		g.Reordered++
		return true
	default:
		g.Duplicated++
		return false
	}
	if len(g.away) > 0 {
		g.back(sub, seq)
	}
	g.last[sub] = seq
	g.Delivered++
	return true
}

// stillAway ends a span whose end is unknown yet.
const stillAway = math.MaxUint32

// Leave notes that a subscription's connection was cut.
func (g *Ledger) Leave(sub uint32) {
	spans := g.away[sub]
	if n := len(spans); n == 0 || spans[n-1].to != stillAway {
		g.away[sub] = append(spans, hole{g.last[sub] + 1, stillAway})
	}
}

// back notes that a message has arrived, the first one perhaps after a cut.
func (g *Ledger) back(sub, seq uint32) {
	spans := g.away[sub]
	n := len(spans) - 1
	switch {
	case n < 0 || spans[n].to != stillAway:
	case spans[n].from == seq: // nothing has passed
		g.away[sub] = spans[:n]
	default:
		spans[n].to = seq - 1
	}
}

// MissedAway returns how many of the missing messages 1 to published passed while
// a subscription was cut.
func (g *Ledger) MissedAway(sub, published uint32) (n uint64) {
	for _, span := range g.away[sub] {
		span.to = min(span.to, published)
		missing := append(slices.Clip(g.holes[sub]), hole{g.last[sub] + 1, published})
		for _, h := range missing {
			if from, to := max(h.from, span.from), min(h.to, span.to); from <= to {
				n += hole{from, to}.size()
			}
		}
	}
	return n
}

// open writes down a span that was passed over.
func (g *Ledger) open(sub uint32, h hole) {
	spans := g.holes[sub]
	if g.spans >= g.most {
		if len(spans) == 0 {
			g.forgotten[sub] += h.size()
			return
		}
		g.forgotten[sub] += spans[0].size()
		g.holes[sub] = append(spans[:0], append(spans[1:], h)...)
		return
	}
	g.holes[sub] = append(spans, h)
	g.spans++
}

// fill takes seq out of the spans of sub; false when it is in none.
func (g *Ledger) fill(sub, seq uint32) bool {
	spans := g.holes[sub]
	for i := range spans {
		h := &spans[i]
		if seq < h.from || seq > h.to {
			continue
		}
		switch {
		case h.from == h.to:
			spans = append(spans[:i], spans[i+1:]...)
			g.spans--
		case seq == h.from:
			h.from++
		case seq == h.to:
			h.to--
		default:
			if g.spans >= g.most {
				g.forgotten[sub] += uint64(seq - h.from)
				h.from = seq + 1
				break
			}
			tail := append([]hole{{seq + 1, h.to}}, spans[i+1:]...)
			h.to = seq - 1
			spans = append(spans[:i+1], tail...)
			g.spans++
		}
		if len(spans) == 0 {
			delete(g.holes, sub)
		} else {
			g.holes[sub] = spans
		}
		return true
	}
	return false
}

func (h hole) size() uint64 { return uint64(h.to-h.from) + 1 }

// Missing returns how many of the published messages 1 to published have not reached a
// subscription, and the first one where it is known.
func (g *Ledger) Missing(sub, published uint32) (n uint64, first uint32) {
	n = g.forgotten[sub]
	for _, h := range g.holes[sub] {
		if h.from > published {
			break
		}
		if first == 0 {
			first = h.from
		}
		n += hole{h.from, min(h.to, published)}.size()
	}
	if last := g.last[sub]; last < published {
		if first == 0 {
			first = last + 1
		}
		n += uint64(published - last)
	}
	return n, first
}

// Begin starts a subscription's account afresh behind a number.
func (g *Ledger) Begin(sub, seq uint32) {
	g.last[sub] = seq
	g.spans -= len(g.holes[sub])
	delete(g.holes, sub)
	delete(g.forgotten, sub)
	delete(g.away, sub)
}

// Exact reports whether duplicates and late messages were distinguished.
func (g *Ledger) Exact() bool { return len(g.forgotten) == 0 }

// lacks reports whether a message has not reached a subscription.
func (g *Ledger) lacks(sub, seq uint32) bool {
	if seq > g.last[sub] {
		return true
	}
	for _, h := range g.holes[sub] {
		if seq >= h.from && seq <= h.to {
			return true
		}
	}
	return false
}
