package gateway

// queue is what waits for a client because the kernel's send buffer is full.
// Large messages are references to encodings that all clients share, small ones
// are copied into buffers of the queue's own. All of it is counted in the memory
// that it takes (held), which is what limits.queue_bytes and
// limits.total_queue_bytes bound. No operation looks through the queue: each
// takes the same time a message, amortised, whatever waits.
type queue struct {
	items []queued // items[head:] is still to be sent, but for those that were dropped
	head  int      // never at a dropped item
	live  int      // of items[head:], those that weren't dropped
	bytes int      // that are still to be sent
	held  int      // bytes of memory, with queueBytes, while anything waits
	count int      // messages
	// history is how much of what was queued the client asked for, which its
	// bound is raised by while the queue lasts.
	history int
	set     *set // where held is counted
	drops   drops
	begun   bool   // the first bytes of items[head] are sent: the rest has to follow
	owner   uint32 // slot
	index   uint32 // in the shard's table

	bucket     uint16 // of the set's ranks, 0 = in none
	prev, next uint32 // in the bucket, by index
}

// queued is an item that waits: a message, a batch of them, or small ones that
// were copied one behind the other. It takes 40 B.
type queued struct {
	b     []byte  // what is still to be sent; nil: it was dropped
	from  *origin // nil for what can't be dropped
	cost  uint32  // bytes of memory that it takes
	count uint16  // messages, capped
	kind  itemKind
}

// itemKind are properties of an item.
type itemKind uint8

const (
	itemOwn     itemKind = 1 << iota // b is a copy that nothing else refers to
	itemLarge                        // b is counted once for all of its clients
	itemLatest                       // a newer message of its channel replaces it
	itemHistory                      // some of it the client asked for
)

const (
	// queueBytes is the memory of an empty queue.
	queueBytes = 192
	// itemBytes is what an item takes besides its bytes: 40 B, of a slice that has
	// room for more.
	itemBytes = 64
	// originBytes and a channel's name are what an origin takes.
	originBytes = 48
	// smallBytes is up to where something is copied while it waits: an item for each
	// would take more than the copy, and the buffer that it's a part of may be large.
	smallBytes = 256
	// ownBytes is up to where copies for a client share an item.
	ownBytes = 4 << 10
)

// whole returns the bytes of an item's buffer, with those that were sent.
func (it *queued) whole() int {
	n := int(it.cost) - itemBytes
	if it.from != nil {
		n -= it.from.bytes(it.kind)
	}
	return n
}

// add appends b, which waits as a part of whole bytes of memory. It is kept as it
// is, or copied where it's small and can't be dropped.
func (q *queue) add(b []byte, whole int, from *origin, kind itemKind) {
	if from == nil {
		kind &^= itemLatest
	}
	before := q.held
	q.begin()
	q.bytes += len(b)
	switch {
	case from == nil && (kind&itemOwn != 0 || len(b) <= smallBytes):
		q.copy(b, kind)
	default:
		it := queued{b: b, from: from, cost: uint32(itemBytes + whole), count: 1, kind: kind}
		if from != nil {
			it.cost += uint32(from.bytes(kind))
		}
		if whole >= largeBytes {
			it.kind |= itemLarge
		}
		q.push(it)
	}
	q.settle()
	if kind&itemHistory != 0 {
		q.history += q.held - before
	}
}

// begin counts the queue itself.
func (q *queue) begin() {
	if q.live == 0 && q.held == 0 {
		q.hold(queueBytes)
	}
}

// hold counts bytes of memory that are the client's alone.
func (q *queue) hold(n int) {
	q.held += n
	q.set.hold(n)
}

// copy appends bytes to the last item, if that has room, or as an own one.
func (q *queue) copy(b []byte, kind itemKind) {
	kind |= itemOwn
	if n := len(q.items); n > q.head {
		last := &q.items[n-1]
		if last.kind&itemOwn != 0 && len(last.b)+len(b) <= ownBytes {
			if cap(last.b)-len(last.b) < len(b) {
				grown := ownBuffer(len(last.b) + len(b))
				cost := itemBytes + cap(grown)
				q.hold(cost - int(last.cost))
				last.cost = uint32(cost)
				last.b = append(grown, last.b...)
			}
			last.b = append(last.b, b...)
			last.kind |= kind
			if last.count < 1<<16-1 {
				last.count++
				q.count++
			}
			return
		}
	}
	own := ownBuffer(len(b))
	q.push(queued{b: append(own, b...), cost: uint32(itemBytes + cap(own)), count: 1, kind: kind})
}

// ownBuffer returns a buffer for n bytes, with room for more up to ownBytes.
func ownBuffer(n int) []byte {
	const least = 64
	room := max(n, min(max(2*n, least), ownBytes))
	return append([]byte(nil), make([]byte, room)...)[:0] // its capacity is all that is allocated
}

// push appends an item and counts it.
func (q *queue) push(it queued) {
	if len(q.items) == cap(q.items) {
		q.makeRoom()
	}
	q.items = append(q.items, it)
	q.live++
	q.held += int(it.cost)
	q.count += int(it.count)
	q.set.add(&it, q)
	if it.kind&itemLatest != 0 {
		q.drops.remember(q, it.from.channel, len(q.items)-1)
	}
}

// pending appends the buffers to send to dst, oldest first, up to its capacity.
func (q *queue) pending(dst [][]byte) [][]byte {
	const most = 256 // items that are looked at: many in a row may have been dropped
	items := q.items[q.head:]
	for _, it := range items[:min(most, len(items))] {
		if len(dst) == cap(dst) {
			break
		}
		if it.b != nil {
			dst = append(dst, it.b)
		}
	}
	return dst
}

// sent takes n bytes off the front.
func (q *queue) sent(n int) {
	for n > 0 {
		it := &q.items[q.head]
		if n < len(it.b) {
			it.b = it.b[n:]
			q.bytes -= n
			q.begun = true
			break
		}
		n -= len(it.b)
		q.begun = false
		q.remove(q.head)
	}
	q.fit()
	q.settle()
}

// remove takes an item out, which is counted no more.
func (q *queue) remove(i int) {
	it := &q.items[i]
	q.bytes -= len(it.b)
	q.held -= int(it.cost)
	q.count -= int(it.count)
	q.set.remove(it, q)
	if it.kind&itemLatest != 0 {
		q.drops.forget(it.from.channel, i)
	}
	*it = queued{}
	q.live--
	for q.head < len(q.items) && q.items[q.head].b == nil {
		q.head++
	}
	q.drops.passed(q)
	if q.live == 0 {
		q.items, q.head, q.drops.next = q.items[:0], 0, 0
	}
}

// reset empties the queue.
func (q *queue) reset() {
	q.set.rank(q, 0)
	for i := q.head; i < len(q.items); i++ {
		if it := &q.items[i]; it.b != nil {
			q.held -= int(it.cost)
			q.set.remove(it, q)
		}
	}
	q.set.hold(-q.held)
	items := q.items[:0]
	if clear(q.items); cap(items) > spareItems {
		items = nil
	}
	*q = queue{items: items, set: q.set, index: q.index}
}

// settle notes what the client is to blame for.
func (q *queue) settle() {
	if q.live == 0 {
		q.drops.clear(q)
		q.hold(-q.held)
		q.set.rank(q, 0)
		return
	}
	// Of those who are equally to blame, the largest.
	q.set.rank(q, q.burden()+q.held/1024)
}

// waiting returns the bytes behind the item that is being sent, or is the next
// to be: what the client is behind by. One message is never that, whatever its
// size.
func (q *queue) waiting() int {
	if q.live == 0 {
		return 0
	}
	return q.held - queueBytes - int(q.items[q.head].cost)
}

// burden returns the bytes that the client is to blame for: those that wait, and
// those that are being sent unless others are sent them as well.
func (q *queue) burden() int {
	if q.live == 0 || q.set.shared(&q.items[q.head]) {
		return q.waiting()
	}
	return q.held
}

// freeItems is the number of messages that may wait behind the one being sent,
// whatever their size, so that a few large ones in a row are no reason to end a client.
const freeItems = 4

// over reports whether more waits than a bound allows, besides what the client asked for.
func (q *queue) over(bound int) bool {
	return q.waiting() > bound+q.history && q.count-int(q.items[q.head].count) > freeItems
}

// enough is the part of its bound, in quarters, that a queue is dropped to, so
// that those of a channel are dropped in a row, of which one gap tells.
const enough = 3

// bound drops messages where more waits than a bound allows, as dropOldest does, and
// reports how many, and whether that was enough.
func (q *queue) bound(bound int, note func(*origin) []byte) (dropped int, ok bool) {
	if !q.over(bound) {
		return 0, true
	}
	dropped = q.dropOldest((bound+q.history)/4*enough, note)
	return dropped, !q.over(bound)
}
