package fanout

import (
	"math/bits"
	"sync"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
)

// dispatcher is the lowest layer of a link: its channels, and their messages on the way
// to the sinks. It numbers each message, keeps it in the channel's ring and hands it
// over, with mu held, which is all that order takes.
type dispatcher struct {
	// Immutable.

	b     *Broker
	start time.Time

	// Guarded by mu.

	mu     sync.Mutex
	clock  hybridClock
	topics topics
	rings  rings
	held   map[uint32]*heldMessages // by topics that are confirmed
}

// now returns the milliseconds since start, which wrap after 49 days: they are compared
// by difference.
func (l *dispatcher) now() uint32 { return uint32(time.Since(l.start).Milliseconds()) }

// hybridClock gives the messages of a link times that rise with each message.
type hybridClock struct {
	start time.Time // immutable
	last  uint64    // guarded by the link's mu
}

// next returns the time in microseconds since 1970, by a clock that is only set at start,
// or the next number where that isn't above the last one: a later position is always
// higher. The caller holds mu.
func (c *hybridClock) next() uint64 {
	c.last = max(c.last+1, microseconds(c.start))
	return c.last
}

func microseconds(start time.Time) uint64 {
	return uint64(start.UnixMicro() + time.Since(start).Microseconds())
}

// A span is 65 ms, so that their number since the clock's start fits a topic.
const spanBits = 16

// span returns the first one that begins at a time or after it.
func (c *hybridClock) span(at uint64) uint32 {
	return uint32((at-uint64(c.start.UnixMicro()))>>spanBits) + 1
}

// spanStart returns the time at which a span begins.
func (c *hybridClock) spanStart(span uint32) uint64 {
	return uint64(c.start.UnixMicro()) + uint64(span)<<spanBits
}

// message is called by receive for each message.
func (l *dispatcher) message(full, wire string) {
	m, ok := parseWire(wire)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	place, t := l.topics.findFull(full)
	switch {
	case t == nil || t.state < topicConfirmed:
		l.b.counters.dropped.Add(1) // on its way when the channel was unsubscribed
	case t.state == topicConfirmed:
		if !m.durable && !m.forget {
			t.flags |= topicPlain // the connection may go before it's delivered
		}
		l.hold(place, m)
	default:
		l.accept(place, t, m)
	}
}

// accept makes m the topic's next message and delivers it, unless it has been there already.
// Sinks that wait for Joined get it too: they may have joined again, in an outage, and have
// others to serve. The caller holds mu.
func (l *dispatcher) accept(place uint32, t *topic, m heldMessage) {
	if m.forget {
		l.forgetPast(t, m.id)
		return
	}
	if m.durable && t.flags&topicStreamGone != 0 {
		t.flags &^= topicStreamGone
		if !t.last.Less(m.id) {
			l.goBack(place, t, m.id.Before())
		}
	}
	if m.durable && !t.last.Less(m.id) {
		l.b.counters.duplicates.Add(1)
		return
	}
	l.b.counters.messages.Add(1)
	if l.b.oversize.is(m.payload) {
		l.passOver(t, m)
		return
	}
	at := l.clock.next()
	id := m.id.Position()
	if m.durable {
		l.b.counters.durable.Add(1)
	} else {
		t.flags |= topicPlain
		id = l.here()
	}
	msg := message.New(l.topics.channel(t), id, t.seq+1, m.takePayload())
	msg.User, msg.Previous, msg.Arrived = m.user, t.last, at
	l.rings.push(&l.topics, place, t, msg, l.now())
	t.seq++
	t.at = at
	t.flags &^= topicWhole
	if m.durable {
		t.last = m.id
	}
	l.tell(t.sinks, func(to Sink) { to.Deliver(msg) })
}

// tell calls fn for each sink of the set.
func (l *dispatcher) tell(set uint64, fn func(Sink)) {
	all := l.b.sinks.all()
	for ; set != 0; set &= set - 1 {
		fn(all[bits.TrailingZeros64(set)])
	}
}

// tellJoined answers the joins of the set. The caller holds mu.
func (l *dispatcher) tellJoined(t *topic, set uint64) {
	t.waiting &^= set
	j := l.joined(t)
	l.tell(set, func(to Sink) { to.Joined(l.topics.channel(t), j) })
}

// joined is where t stands, for a sink that joins it. The caller holds mu.
func (l *dispatcher) joined(t *topic) Joined {
	return Joined{Position: l.position(t), Seq: t.seq, Unused: t.unused()}
}

// tellGap says that messages after the topic's present end were lost. The loss takes a
// number of its own and the ring goes, so that no replay passes over it in silence. The
// caller holds mu.
func (l *dispatcher) tellGap(t *topic, reason GapReason) {
	g := Gap{Since: l.here(), Reason: reason}
	switch reason {
	case GapHistory:
		g.Since = t.last.Position()
		l.b.counters.historyGaps.Add(1)
	case GapTooLarge:
		g.Since = l.position(t)
	default:
		l.b.counters.brokerGaps.Add(1)
	}
	l.rings.drop(t)
	t.flags = t.flags&^(topicLostBefore|topicWhole) | topicLostAfter
	t.seq++
	t.at = l.clock.next()
	g.Seq = t.seq
	l.tell(t.sinks, func(to Sink) { to.Gap(l.topics.channel(t), g) })
}

// position is where t stands, for a client to resume from.
func (l *dispatcher) position(t *topic) message.Position {
	if !t.last.IsZero() {
		return t.last.Position()
	}
	return l.here()
}

// here is the plain position after all messages and gaps of the link's topics so far. The
// caller holds mu.
func (l *dispatcher) here() message.Position {
	return message.Position{Node: l.b.node, Seq: l.clock.last}
}

// goBack is for a stream that ends before the last message received from it. One that lost its
// end in a failover may repeat some ids, which must not be taken for duplicates. One that is
// gone, by its expiry or with everything else, will go on with higher ids, for they are made of
// the time, unless the server that lost it has a clock behind its predecessor's: accept finds
// out. The caller holds mu.
func (l *dispatcher) goBack(id uint32, t *topic, tail message.StreamID) {
	if tail.IsZero() {
		t.flags |= topicStreamGone
		return
	}
	t.flags &^= topicStreamGone
	r := l.rings.of(id, t, l.now())
	r.base, r.bottom = tail, false // and remembers t.last as lost
	t.last = tail
}

// acceptPage delivers the messages of a page. The caller holds mu.
func (l *dispatcher) acceptPage(id uint32, t *topic, p page) {
	for _, e := range p.entries {
		if e.foreign {
			if t.last.Less(e.id) {
				t.last = e.id
			}
			continue
		}
		l.accept(id, t, heldMessage{id: e.id, payload: e.payload, user: e.user, durable: true})
	}
}

// forgetPast drops the past of a topic. upTo is the entry that stands in its stream for
// it, zero where there is no stream. The caller holds mu.
func (l *dispatcher) forgetPast(t *topic, upTo message.StreamID) {
	l.rings.drop(t)
	// Earlier losses are forgotten too: where there is a stream, it begins with upTo, and
	// earlier positions get a gap.
	t.flags &^= topicLostBefore | topicLostAfter | topicWhole
	switch {
	case upTo.IsZero():
		t.flags |= topicLostAfter
	case t.last.Less(upTo):
		t.last = upTo
	}
	t.at = l.clock.next()
}

// passOver has a gap in place of a message that is too large. The caller holds mu.
func (l *dispatcher) passOver(t *topic, m heldMessage) {
	l.b.oversize.note(l.b.log, l.topics.channel(t), len(m.payload))
	l.tellGap(t, GapTooLarge)
	if m.durable {
		// It is lost to replays from before it, and not from behind it.
		t.last = m.id
		t.flags = t.flags&^topicLostAfter | topicLostBefore
	}
}
