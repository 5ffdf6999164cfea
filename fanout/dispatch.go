package fanout

import "math/bits"

// heldMessage is a message as it came, for a topic that isn't live yet.
type heldMessage struct {
	id      streamID
	payload string
	durable bool
}

// message is called by receive for each message.
func (l *link) message(full, wire string) {
	if len(full) < l.topics.prefix {
		return
	}
	id, payload, durable := parseWire(wire)
	m := heldMessage{idOf(id), payload, durable}
	l.mu.Lock()
	defer l.mu.Unlock()
	place, t := l.topics.find(full[l.topics.prefix:])
	switch {
	case t == nil || t.state < topicConfirmed:
		l.b.counters.dropped.Add(1) // on its way when the channel was unsubscribed
	case t.state == topicConfirmed:
		l.held[place] = append(l.held[place], m)
	default:
		l.accept(place, t, m)
	}
}

// accept makes m the topic's next message and delivers it, unless it has been
// there already. Members that wait for Joined get it too: they may have joined
// again, in an outage, and have others to serve. The caller holds mu.
func (l *link) accept(place uint32, t *topic, m heldMessage) {
	if m.durable && !t.last.less(m.id) {
		l.b.counters.duplicates.Add(1)
		return
	}
	l.b.counters.messages.Add(1)
	id := m.id.position()
	if m.durable {
		l.b.counters.durable.Add(1)
	} else {
		t.flags |= topicPlain
		id = Position{Node: l.b.node, Seq: t.seq + 1}
	}
	msg := NewMessage(l.topics.channel(t), id, uint32(t.seq+1), []byte(m.payload))
	msg.last = t.last
	l.rings.push(&l.topics, place, t, msg, l.now())
	t.seq++
	if m.durable {
		t.last = m.id
	}
	l.tell(t.members, func(to Member) { to.Deliver(msg) })
}

// tell calls fn for each member of the set.
func (l *link) tell(set uint64, fn func(Member)) {
	all := l.b.members.all()
	for ; set != 0; set &= set - 1 {
		fn(all[bits.TrailingZeros64(set)])
	}
}

// tellJoined answers the joins of the set. The caller holds mu.
func (l *link) tellJoined(t *topic, set uint64) {
	t.waiting &^= set
	j := l.joined(t)
	l.tell(set, func(to Member) { to.Joined(l.topics.channel(t), j) })
}

// joined is where t stands, for a member that joins it. The caller holds mu.
func (l *link) joined(t *topic) Joined {
	return Joined{Position: l.position(t), Seq: uint32(t.seq)}
}

// tellGap says that messages after the topic's present end were lost. The
// loss takes a number of its own and the ring goes, so that no replay passes
// over it in silence. The caller holds mu.
func (l *link) tellGap(t *topic, reason GapReason) {
	g := Gap{Since: l.plainPosition(t), Reason: reason}
	if reason == GapHistory {
		g.Since = t.last.position()
		l.b.counters.historyGaps.Add(1)
	} else {
		l.b.counters.brokerGaps.Add(1)
	}
	l.rings.drop(t)
	t.flags = t.flags&^topicLostBefore | topicLostAfter
	t.seq++
	g.Seq = uint32(t.seq)
	l.tell(t.members, func(to Member) { to.Gap(l.topics.channel(t), g) })
}

// position is where t stands, for a client to resume from.
func (l *link) position(t *topic) Position {
	if !t.last.isZero() {
		return t.last.position()
	}
	return l.plainPosition(t)
}

func (l *link) plainPosition(t *topic) Position {
	return Position{Node: l.b.node, Seq: t.seq}
}
