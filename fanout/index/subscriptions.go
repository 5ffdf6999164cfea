package index

import "math"

// Sub is a subscription's number in one Index, from 1, and used again after Unsubscribe.
type Sub uint32

// List is the head of a connection's subscriptions. The connection keeps it and passes it
// in; 0 is the empty list.
type List uint32

// subscription is one connection in one channel. It is in two lists: its connection's, singly
// linked because most connections have few, and its channel's, in order of subscription and
// doubly linked because a channel may have half a million. Millions of them exist: 24 bytes.
type subscription struct {
	conn       uint32
	channel    uint32 // with subHeld and subFrom
	prev, next Sub    // in the channel
	sibling    Sub    // next of the connection
	from       uint32 // with subFrom: only messages after this one
}

const (
	subHeld        = 1 << 31
	subFrom        = 1 << 30
	subChannelMask = subFrom - 1
)

// Subscriptions returns the number of subscriptions.
func (x *Index) Subscriptions() int { return x.subCount }

// Subscribe adds a connection, whose list is l, to a channel, behind the ones that are
// there. It gets messages that are published from now on, not those pending. If it is
// there already, nothing changes and added is false.
func (x *Index) Subscribe(l *List, conn uint32, ch Channel) (s Sub, added bool) {
	if s, ok := x.Find(*l, ch); ok {
		return s, false
	}
	return x.Add(l, conn, ch), true
}

// Add is Subscribe for a connection that isn't in the channel yet, as the caller knows:
// it takes the same time however many channels the connection has.
func (x *Index) Add(l *List, conn uint32, ch Channel) (s Sub) {
	if s = x.freeSub; s != 0 {
		x.freeSub = x.subs.At(uint32(s)).next
	} else {
		s = Sub(x.subs.Grow())
	}
	c := x.channels.At(uint32(ch))
	c.released = false
	e := x.subs.At(uint32(s))
	*e = subscription{conn: conn, channel: uint32(ch), prev: c.last, sibling: Sub(*l)}
	if c.delivery != 0 {
		e.channel |= subFrom
		e.from = x.deliveries[c.delivery].lastSeq()
	}
	if c.last != 0 {
		x.subs.At(uint32(c.last)).next = s
	} else {
		c.first = s
	}
	c.last = s
	c.subscribers++
	x.subCount++
	x.added(conn, ch, s, Sub(*l))
	*l = List(s)
	return s
}

// Is reports whether s, which may have ended since, is the subscription of a connection
// to a channel.
func (x *Index) Is(s Sub, conn uint32, ch Channel) bool {
	e := x.subs.At(uint32(s))
	return e.conn == conn && e.channel&subChannelMask == uint32(ch)
}

// Find looks for a channel in a connection's list.
func (x *Index) Find(l List, ch Channel) (Sub, bool) {
	_, s := x.locate(l, ch)
	return s, s != 0
}

// locate returns a channel's subscription in a connection's list, 0 when it isn't there,
// and the one before it.
func (x *Index) locate(l List, ch Channel) (before, s Sub) {
	s = Sub(l)
	for n := 0; s != 0; n++ {
		e := x.subs.At(uint32(s))
		if e.channel&subChannelMask == uint32(ch) {
			return before, s
		}
		if n == x.few {
			at := x.placesOf(l)[ch]
			return at.before, at.s
		}
		before, s = s, e.sibling
	}
	return 0, 0
}

// Unsubscribe takes a connection out of a channel.
func (x *Index) Unsubscribe(l *List, ch Channel) (removed bool) {
	before, s := x.locate(*l, ch)
	if s == 0 {
		return false
	}
	x.unlink(l, before, s)
	x.remove(s)
	return true
}

// remove unlinks s, which its connection's list doesn't hold any more, from its channel. A
// delivery about to visit it goes on behind it.
func (x *Index) remove(s Sub) {
	e := x.subs.At(uint32(s))
	c := x.channels.At(e.channel & subChannelMask)
	if c.delivery != 0 {
		if d := x.deliveries[c.delivery]; d.next == s {
			d.next = e.next
		}
	}
	if e.prev != 0 {
		x.subs.At(uint32(e.prev)).next = e.next
	} else {
		c.first = e.next
	}
	if e.next != 0 {
		x.subs.At(uint32(e.next)).prev = e.prev
	} else {
		c.last = e.prev
	}
	c.subscribers--
	x.subCount--
	*e = subscription{next: x.freeSub}
	x.freeSub = s
}

// SetFrom makes s get only messages with a Seq after seq. Seqs wrap: after means less
// than half of their range ahead.
func (x *Index) SetFrom(s Sub, seq uint32) {
	e := x.subs.At(uint32(s))
	e.channel |= subFrom
	e.from = seq
}

// From returns the number of the latest SetFrom, 0 without.
func (x *Index) From(s Sub) uint32 { return x.subs.At(uint32(s)).from }

// Hold makes Deliver pass s by until it is released. Messages passed by meanwhile are not
// delivered later: the holder catches up by other means and says with SetFrom how far it got.
func (x *Index) Hold(s Sub, on bool) {
	e := x.subs.At(uint32(s))
	if on {
		e.channel |= subHeld
	} else {
		e.channel &^= subHeld
	}
}

// Held reports whether s is held.
func (x *Index) Held(s Sub) bool { return x.subs.At(uint32(s)).channel&subHeld != 0 }

func (x *Index) channelOf(s Sub) Channel {
	return Channel(x.subs.At(uint32(s)).channel & subChannelMask)
}

// Each calls fn for each subscription of a list, the latest first. fn may unsubscribe the
// one that it is called for, which is then found at the head of the list, and no other of
// the same list.
func (x *Index) Each(l List, fn func(Sub, Channel)) { x.EachSome(l, 0, math.MaxInt, fn) }

// EachSome is Each for most subscriptions at most, from one on that an earlier call
// returned, 0 for the first. It returns the next one, 0 at the end. The list must be the
// same all the time.
func (x *Index) EachSome(l List, from Sub, most int, fn func(Sub, Channel)) (next Sub) {
	if from == 0 {
		from = Sub(l)
	}
	for ; from != 0 && most > 0; most-- {
		e := x.subs.At(uint32(from))
		next := e.sibling
		fn(from, Channel(e.channel&subChannelMask))
		from = next
	}
	return from
}

// fewSubs is how many of a connection's subscriptions are looked through to find that to
// one channel. For one that has more there is a table from when it's first needed: with
// 4,096 channels, to unsubscribe from one and subscribe again takes 0.3 us in place of 20
// (BenchmarkResubscribe), for 14 to 28 B a subscription.
const fewSubs = 16

// place is a subscription in its connection's list.
type place struct {
	s      Sub
	before Sub // the one before it; of no meaning for the first
}

// placesOf returns the subscriptions of a list, which isn't empty, by their channels.
func (x *Index) placesOf(l List) map[Channel]place {
	conn := x.subs.At(uint32(l)).conn
	places := x.many[conn]
	if places == nil {
		places = make(map[Channel]place, 2*x.few)
		var before Sub
		x.Each(l, func(s Sub, ch Channel) {
			places[ch] = place{s, before}
			before = s
		})
		x.many[conn] = places
	}
	return places
}

// added notes that s is the first of a connection's list now, and next the second.
func (x *Index) added(conn uint32, ch Channel, s, next Sub) {
	places := x.many[conn]
	if places == nil {
		return
	}
	places[ch] = place{s: s}
	if next != 0 {
		places[x.channelOf(next)] = place{next, s}
	}
}

// unlink takes s out of its connection's list, where it is behind before, or first.
func (x *Index) unlink(l *List, before, s Sub) {
	e := x.subs.At(uint32(s))
	first := Sub(*l) == s
	if first {
		*l = List(e.sibling)
	} else {
		x.subs.At(uint32(before)).sibling = e.sibling
	}
	places := x.many[e.conn]
	if places == nil {
		return
	}
	delete(places, Channel(e.channel&subChannelMask))
	if e.sibling != 0 && !first {
		places[x.channelOf(e.sibling)] = place{e.sibling, before}
	}
	if len(places) <= x.few/2 {
		delete(x.many, e.conn)
	}
}
