package queue

import "github.com/pushgate/pushgate/fanout/message"

// Origin identifies a droppable message while it is queued: the message itself would keep its
// payload and all its encodings.
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

// bytes returns the memory of an item's origin.
func (o *Origin) bytes(kind Kind) int {
	n := originBytes + len(o.Channel)
	if kind&Latest != 0 {
		n += entryBytes
	}
	return n
}

// Origins caches the origins of the last messages, so that clients that are handed the same message
// in turn share one.
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

// drops is a queue's record of droppable and dropped items.
type drops struct {
	newest map[string]int // replaceable items, by channel
	// next is the first item that dropOldest hasn't visited: it has dropped all that it may before
	// it.
	next int
	told map[string]bool // channels with a gap before next and no message in between
	held int             // memory of told
}

const (
	// entryBytes is the memory of an entry of newest or told, and tableBytes of a small table.
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

// forget removes an item that is gone.
func (d *drops) forget(channel string, i int) {
	if at, ok := d.newest[channel]; ok && at == i {
		delete(d.newest, channel)
	}
}

// moved updates the index of a moved item.
func (d *drops) moved(channel string, from, to int) {
	if at, ok := d.newest[channel]; ok && at == from {
		d.newest[channel] = to
	}
}

// fit shrinks newest to its live entries.
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

// tell notes that a channel's gap notice is queued.
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

// passed clears told once all items that dropOldest has visited are gone.
func (d *drops) passed(q *Queue) {
	if d.told != nil && q.head >= d.next {
		d.untell(q)
	}
}

func (d *drops) untell(q *Queue) {
	q.hold(-d.held)
	d.told, d.held = nil, 0
}

// clear resets the record of an empty queue.
func (d *drops) clear(q *Queue) {
	if d.told != nil {
		d.untell(q)
	}
	*d = drops{}
}

// first returns the index of the first item that can be dropped without breaking a frame.
func (q *Queue) first() int {
	if q.begun {
		return q.head + 1
	}
	return q.head
}

// Droppable reports whether DropUnsent frees half of the queue or more.
func (q *Queue) Droppable() bool { return !q.begun && q.front == nil || q.Waiting() >= q.Held/2 }

// DropUnsent drops all but the remainder of a partly sent item.
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

// dropOldest drops messages of channels that allow it, oldest first, until at most limit bytes
// wait, and returns how many it dropped. It keeps the newest and the next to be sent. Where a
// channel's messages begin to be missing, note's bytes take their place.
func (q *Queue) dropOldest(limit int, note func(*Origin) []byte) (dropped int) {
	d, held := &q.drops, q.Held
	for d.next = max(d.next, q.head+1); d.next < len(q.items)-1 && q.Waiting() > limit; d.next++ {
		it := q.items[d.next]
		if it.kind&History != 0 && d.told != nil {
			d.untell(q) // it may belong to these channels
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

// place puts bytes in a dropped item's place.
func (q *Queue) place(i int, b []byte) {
	it := item{b: b, cost: uint32(ItemBytes + cap(b)), count: 1, kind: Own}
	q.items[i] = it
	q.live++
	q.Bytes += len(b)
	q.Held += int(it.cost)
	q.count++
	q.Set.add(&it, q)
}

// Replace drops the queued message of a channel, which a newer one supersedes.
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
