package fanout

// fewSubs is how many of a connection's subscriptions are looked through to find
// that to one channel. For one that has more there is a table from when it's first
// needed: with 4,096 channels, to unsubscribe from one and subscribe again takes
// 0.3 us in place of 20 (BenchmarkResubscribe), for 14 to 28 B a subscription.
const fewSubs = 16

// place is a subscription in its connection's list.
type place struct {
	s      Sub
	before Sub // the one before it; of no meaning for the first
}

// placesOf returns the subscriptions of a list, which isn't empty, by their channels.
func (x *Index) placesOf(l List) map[Channel]place {
	conn := x.subs.at(uint32(l)).conn
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
		places[x.ChannelOf(next)] = place{next, s}
	}
}

// unlink takes s out of its connection's list, where it is behind before, or first.
func (x *Index) unlink(l *List, before, s Sub) {
	e := x.subs.at(uint32(s))
	first := Sub(*l) == s
	if first {
		*l = List(e.sibling)
	} else {
		x.subs.at(uint32(before)).sibling = e.sibling
	}
	places := x.many[e.conn]
	if places == nil {
		return
	}
	delete(places, Channel(e.channel&subChannelMask))
	if e.sibling != 0 && !first {
		places[x.ChannelOf(e.sibling)] = place{e.sibling, before}
	}
	if len(places) <= x.few/2 {
		delete(x.many, e.conn)
	}
}
