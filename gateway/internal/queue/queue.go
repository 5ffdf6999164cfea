package queue

// Queue is what waits for a client because the kernel's send buffer is full.
// Large messages are references to encodings that all clients share, small ones
// are copied into buffers of the queue's own. All of it is counted in the memory
// that it takes (held), which is what limits.queue_bytes and
// limits.total_queue_bytes bound. No operation looks through the queue: each
// takes the same time a message, amortised, whatever waits.
type Queue struct {
	items []item // items[head:] is still to be sent, but for those that were dropped
	head  int    // never at a dropped item
	live  int    // of items[head:], those that weren't dropped
	Bytes int    // that are still to be sent
	Held  int    // bytes of memory, with queueBytes, while anything waits
	count int    // messages
	// history is how much of what was queued the client asked for, which its
	// bound is raised by while the queue lasts.
	history int
	Set     *Set // where held is counted
	drops   drops
	begun   bool   // the first bytes of items[head] are sent: the rest has to follow
	Owner   uint32 // slot
	index   uint32 // in the shard's table

	bucket     uint16 // of the set's ranks, 0 = in none
	prev, next uint32 // in the bucket, by index
}

// item is an item that waits: a message, a batch of them, or small ones that
// were copied one behind the other. It takes 40 B.
type item struct {
	b     []byte  // what is still to be sent; nil: it was dropped
	from  *Origin // nil for what can't be dropped
	cost  uint32  // bytes of memory that it takes
	count uint16  // messages, capped
	kind  Kind
}

// Kind are properties of an item.
type Kind uint8

const (
	Own       Kind = 1 << iota // b is a copy that nothing else refers to
	itemLarge                  // b is counted once for all of its clients
	Latest                     // a newer message of its channel replaces it
	History                    // some of it the client asked for
)

const (
	// queueBytes is the memory of an empty queue.
	queueBytes = 192
	// itemBytes is what an item takes besides its bytes: 40 B, of a slice that has
	// room for more.
	ItemBytes = 64
	// originBytes and a channel's name are what an origin takes.
	originBytes = 48
	// smallBytes is up to where something is copied while it waits: an item for each
	// would take more than the copy, and the buffer that it's a part of may be large.
	SmallBytes = 256
	// ownBytes is up to where copies for a client share an item.
	ownBytes = 4 << 10
)

// whole returns the bytes of an item's buffer, with those that were sent.
func (it *item) whole() int {
	n := int(it.cost) - ItemBytes
	if it.from != nil {
		n -= it.from.bytes(it.kind)
	}
	return n
}

// Add appends b, which waits as a part of whole bytes of memory. It is kept as it
// is, or copied where it's small and can't be dropped.
func (q *Queue) Add(b []byte, whole int, from *Origin, kind Kind) {
	if from == nil {
		kind &^= Latest
	}
	before := q.Held
	q.begin()
	q.Bytes += len(b)
	switch {
	case from == nil && (kind&Own != 0 || len(b) <= SmallBytes):
		q.copy(b, kind)
	default:
		it := item{b: b, from: from, cost: uint32(ItemBytes + whole), count: 1, kind: kind}
		if from != nil {
			it.cost += uint32(from.bytes(kind))
		}
		if whole >= LargeBytes {
			it.kind |= itemLarge
		}
		q.push(it)
	}
	q.settle()
	if kind&History != 0 {
		q.history += q.Held - before
	}
}

// begin counts the queue itself.
func (q *Queue) begin() {
	if q.live == 0 && q.Held == 0 {
		q.hold(queueBytes)
	}
}

// hold counts bytes of memory that are the client's alone.
func (q *Queue) hold(n int) {
	q.Held += n
	q.Set.hold(n)
}

// copy appends bytes to the last item, if that has room, or as an own one.
func (q *Queue) copy(b []byte, kind Kind) {
	kind |= Own
	if n := len(q.items); n > q.head {
		last := &q.items[n-1]
		if last.kind&Own != 0 && len(last.b)+len(b) <= ownBytes {
			if cap(last.b)-len(last.b) < len(b) {
				grown := ownBuffer(len(last.b) + len(b))
				cost := ItemBytes + cap(grown)
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
	q.push(item{b: append(own, b...), cost: uint32(ItemBytes + cap(own)), count: 1, kind: kind})
}

// ownBuffer returns a buffer for n bytes, with room for more up to ownBytes.
func ownBuffer(n int) []byte {
	const least = 64
	room := max(n, min(max(2*n, least), ownBytes))
	return append([]byte(nil), make([]byte, room)...)[:0] // its capacity is all that is allocated
}

// push appends an item and counts it.
func (q *Queue) push(it item) {
	if len(q.items) == cap(q.items) {
		q.makeRoom()
	}
	q.items = append(q.items, it)
	q.live++
	q.Held += int(it.cost)
	q.count += int(it.count)
	q.Set.add(&it, q)
	if it.kind&Latest != 0 {
		q.drops.remember(q, it.from.Channel, len(q.items)-1)
	}
}

// Pending appends the buffers to send to dst, oldest first, up to its capacity.
func (q *Queue) Pending(dst [][]byte) [][]byte {
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

// Sent takes n bytes off the front.
func (q *Queue) Sent(n int) {
	for n > 0 {
		it := &q.items[q.head]
		if n < len(it.b) {
			it.b = it.b[n:]
			q.Bytes -= n
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
func (q *Queue) remove(i int) {
	it := &q.items[i]
	q.Bytes -= len(it.b)
	q.Held -= int(it.cost)
	q.count -= int(it.count)
	q.Set.remove(it, q)
	if it.kind&Latest != 0 {
		q.drops.forget(it.from.Channel, i)
	}
	*it = item{}
	q.live--
	for q.head < len(q.items) && q.items[q.head].b == nil {
		q.head++
	}
	q.drops.passed(q)
	if q.live == 0 {
		q.items, q.head, q.drops.next = q.items[:0], 0, 0
	}
}

// Reset empties the queue.
func (q *Queue) Reset() {
	q.Set.rank(q, 0)
	for i := q.head; i < len(q.items); i++ {
		if it := &q.items[i]; it.b != nil {
			q.Held -= int(it.cost)
			q.Set.remove(it, q)
		}
	}
	q.Set.hold(-q.Held)
	items := q.items[:0]
	if clear(q.items); cap(items) > spareItems {
		items = nil
	}
	*q = Queue{items: items, Set: q.Set, index: q.index}
}

// settle notes what the client is to blame for.
func (q *Queue) settle() {
	if q.live == 0 {
		q.drops.clear(q)
		q.hold(-q.Held)
		q.Set.rank(q, 0)
		return
	}
	// Of those who are equally to blame, the largest.
	q.Set.rank(q, q.burden()+q.Held/1024)
}

// Waiting returns the bytes behind the item that is being sent, or is the next
// to be: what the client is behind by. One message is never that, whatever its
// size.
func (q *Queue) Waiting() int {
	if q.live == 0 {
		return 0
	}
	return q.Held - queueBytes - int(q.items[q.head].cost)
}

// burden returns the bytes that the client is to blame for: those that wait, and
// those that are being sent unless others are sent them as well.
func (q *Queue) burden() int {
	if q.live == 0 || q.Set.shared(&q.items[q.head]) {
		return q.Waiting()
	}
	return q.Held
}

// freeItems is the number of messages that may wait behind the one being sent,
// whatever their size, so that a few large ones in a row are no reason to end a client.
const FreeItems = 4

// over reports whether more waits than a bound allows, besides what the client asked for.
func (q *Queue) over(bound int) bool {
	return q.Waiting() > bound+q.history && q.count-int(q.items[q.head].count) > FreeItems
}

// enough is the part of its bound, in quarters, that a queue is dropped to, so
// that those of a channel are dropped in a row, of which one gap tells.
const enough = 3

// Bound drops messages where more waits than a bound allows, as dropOldest does, and
// reports how many, and whether that was enough.
func (q *Queue) Bound(bound int, note func(*Origin) []byte) (dropped int, ok bool) {
	if !q.over(bound) {
		return 0, true
	}
	dropped = q.dropOldest((bound+q.history)/4*enough, note)
	return dropped, !q.over(bound)
}

// makeRoom makes place for an item where items is full: those that were sent and
// dropped leave theirs if they are a third of all, so that what is moved is at
// most twice of what has gone since the last time.
func (q *Queue) makeRoom() {
	if n := cap(q.items); n > 0 && 3*q.live <= 2*n {
		q.move(q.items[:0])
		return
	}
	q.move(make([]item, 0, roomFor(q.live)))
}

// fit gives memory back where most of items has gone: with makeRoom, an item
// takes 60 B right after items has grown, and 80 B at most.
func (q *Queue) fit() {
	if cap(q.items) <= 2*q.live+spareItems {
		return
	}
	if q.live == 0 {
		q.items = nil
		return
	}
	q.move(make([]item, 0, roomFor(q.live)))
	q.drops.fit(q)
}

// spareItems is how many a queue has room for besides twice of what it needs.
const spareItems = 2

func roomFor(items int) int { return items + items/2 + 2 }

// move moves what waits to the front of another slice, or of the same.
func (q *Queue) move(to []item) {
	next := -1
	for i := q.head; i < len(q.items); i++ {
		if i >= q.drops.next && next < 0 {
			next = len(to)
		}
		it := q.items[i]
		if it.b == nil {
			continue
		}
		if it.kind&Latest != 0 {
			q.drops.moved(it.from.Channel, i, len(to))
		}
		to = append(to, it)
	}
	if next < 0 {
		next = len(to)
	}
	if rest := q.items[min(len(to), len(q.items)):]; cap(to) == cap(q.items) {
		clear(rest) // of the same slice
	}
	q.items, q.head, q.drops.next = to, 0, next
}
