package queue

import "github.com/pushgate/pushgate/fanout/message"

// Origin is what is known of a message that may be dropped while it waits: the
// message itself would keep its payload and all its encodings.
type Origin struct {
	Channel string
	Before  message.Position // the position just before it
}

// PositionBefore returns the position just before a message.
func PositionBefore(m *message.Message) message.Position {
	p := m.ID
	if p.Durable() {
		return m.Before()
	}
	p.Seq--
	return p
}

// bytes returns the memory that an item takes for its origin.
func (o *Origin) bytes(kind Kind) int {
	n := originBytes + len(o.Channel)
	if kind&Latest != 0 {
		n += entryBytes
	}
	return n
}

// Origins are those of the last messages, which clients share that are handed
// the same one, one after the other.
type Origins [64]*Origin

// Of returns the origin of a message.
func (o *Origins) Of(m *message.Message) *Origin {
	last := &o[m.Seq%uint32(len(o))]
	before := PositionBefore(m)
	if *last == nil || (*last).Channel != m.Channel || (*last).Before != before {
		*last = &Origin{m.Channel, before}
	}
	return *last
}

// drops is a queue's knowledge of what may be dropped.
type drops struct {
	newest map[string]int // items that a newer one replaces, by channel
	// next is the first item that dropOldest hasn't seen: it has dropped those
	// before it that it may.
	next int
	told map[string]bool // channels that have a gap before next, and no message between
	held int             // bytes that told takes
}

const (
	// entryBytes is what an entry of newest or told takes, and tableBytes one of
	// these with few entries.
	entryBytes = 64
	tableBytes = 192
)

// remember notes the newest item of a channel.
func (d *drops) remember(q *Queue, channel string, i int) {
	if d.newest == nil {
		d.newest = make(map[string]int)
		q.hold(tableBytes)
	}
	d.newest[channel] = i
}

// forget is for an item that has gone.
func (d *drops) forget(channel string, i int) {
	if at, ok := d.newest[channel]; ok && at == i {
		delete(d.newest, channel)
	}
}

// moved is for an item that has another place.
func (d *drops) moved(channel string, from, to int) {
	if at, ok := d.newest[channel]; ok && at == from {
		d.newest[channel] = to
	}
}

// fit gives back the memory of entries that have gone.
func (d *drops) fit(q *Queue) {
	if d.newest == nil {
		return
	}
	newest := make(map[string]int, len(d.newest))
	for channel, i := range d.newest {
		newest[channel] = i
	}
	d.newest = newest
}

// tell notes that a channel's gap is told.
func (d *drops) tell(q *Queue, channel string) {
	n := entryBytes + len(channel)
	if d.told == nil {
		d.told = make(map[string]bool)
		n += tableBytes
	}
	d.told[channel] = true
	d.held += n
	q.hold(n)
}

// passed is for items that have gone: once all that dropOldest has seen have,
// the gaps that were told are told.
func (d *drops) passed(q *Queue) {
	if d.told != nil && q.head >= d.next {
		d.untell(q)
	}
}

func (d *drops) untell(q *Queue) {
	q.hold(-d.held)
	d.told, d.held = nil, 0
}

// clear is for a queue that is empty.
func (d *drops) clear(q *Queue) {
	if d.told != nil {
		d.untell(q)
	}
	*d = drops{}
}

// first returns the index of the first item that can be dropped without
// breaking the stream.
func (q *Queue) first() int {
	if q.begun {
		return q.head + 1
	}
	return q.head
}

// Droppable reports whether dropUnsent frees half of the queue or more.
func (q *Queue) Droppable() bool { return !q.begun || q.Waiting() >= q.Held/2 }

// DropUnsent drops all but the rest of an item whose first bytes are on the
// wire already.
func (q *Queue) DropUnsent() {
	keep := q.first()
	for i := len(q.items) - 1; i >= keep && q.live > 0; i-- {
		if q.items[i].b != nil {
			q.remove(i)
		}
	}
	q.items = q.items[:min(keep, len(q.items))]
	q.drops.next = min(q.drops.next, len(q.items))
	q.fit()
	q.settle()
}

// dropOldest drops messages of channels that allow it, oldest first, until at
// most limit bytes wait, and returns how many it dropped. The newest stays, and
// what is the next to be sent. Where those of a channel begin to be missing,
// note's bytes take their place.
func (q *Queue) dropOldest(limit int, note func(*Origin) []byte) (dropped int) {
	d, held := &q.drops, q.Held
	for d.next = max(d.next, q.head+1); d.next < len(q.items)-1 && q.Waiting() > limit; d.next++ {
		it := q.items[d.next]
		if it.kind&History != 0 && d.told != nil {
			d.untell(q) // it may be of these channels
		}
		if it.from == nil || it.kind&Latest != 0 {
			continue
		}
		q.remove(d.next)
		dropped++
		if d.told[it.from.Channel] {
			continue
		}
		d.tell(q, it.from.Channel)
		if b := note(it.from); len(b) > 0 { // bare payloads leave no room for it
			q.place(d.next, b)
		}
	}
	if q.Held != held {
		q.fit()
		q.settle()
	}
	return dropped
}

// place puts bytes where an item was dropped.
func (q *Queue) place(i int, b []byte) {
	it := item{b: b, cost: uint32(ItemBytes + cap(b)), count: 1, kind: Own}
	q.items[i] = it
	q.live++
	q.Bytes += len(b)
	q.Held += int(it.cost)
	q.count++
	q.Set.add(&it, q)
}

// Replace drops the message of a channel that waits, because a newer one says
// all that it did.
func (q *Queue) Replace(channel string) (dropped int) {
	i, ok := q.drops.newest[channel]
	if !ok || i < q.first() {
		return 0
	}
	q.remove(i)
	q.fit()
	q.settle()
	return 1
}
