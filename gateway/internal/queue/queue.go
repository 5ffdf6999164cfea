package queue

// Queue is a client's pending output while the kernel's send buffer is full. Large messages are
// references to encodings shared by all clients, small ones are copied into the queue's own
// buffers. All of it is counted by the memory it takes (Held), which limits.queue_bytes and
// limits.total_queue_bytes bound. No operation scans the queue: each takes amortised constant time
// a message.
type Queue struct {
	items []item // items[head:] is pending, except for dropped items
	head  int    // never at a dropped item
	live  int    // items of items[head:] not dropped
	Bytes int    // pending, front included
	Held  int    // bytes of memory, with queueBytes, unless empty
	count int    // messages
	// history is the memory of requested messages that were queued, by which the bound is raised
	// while the queue lasts.
	history int
	Set     *Set // where Held is summed
	drops   drops
	begun   bool   // items[head] is partly sent: the rest has to follow
	front   []byte // front[gone:] goes before all items: the rest of a sealed record
	gone    int
	Owner   uint32 // slot
	index   uint32 // in the shard's table

	bucket     uint16 // in the set's ranks, 0 = none
	prev, next uint32 // in the bucket, by index
}

// item is a message, a batch of them, or small ones that were copied one behind the other. It takes
// 40 B.
type item struct {
	b     []byte  // unsent bytes; nil: dropped
	from  *Origin // nil: not droppable
	cost  uint32  // bytes of memory
	count uint16  // messages, capped
	kind  Kind
}

// Kind are properties of an item.
type Kind uint8

const (
	Own       Kind = 1 << iota // b is a copy that nothing else refers to
	itemLarge                  // b is counted once for all clients
	Latest                     // a newer message of its channel replaces it
	History                    // some of it was requested by the client
)

const (
	// queueBytes is the memory of an empty queue.
	queueBytes = 192
	// ItemBytes is the memory of an item besides its bytes: 40 B, in a slice that has room for
	// more.
	ItemBytes = 64
	// originBytes is the memory of an origin besides its channel's name.
	originBytes = 48
	// SmallBytes is the size up to which pending bytes are copied: an item for each would take more
	// than the copy, and its buffer may be part of a large one.
	SmallBytes = 256
	// ownBytes is the size up to which a client's copies share an item.
	ownBytes = 4 << 10
)

// whole returns the size of an item's buffer, sent bytes included.
func (it *item) whole() int {
	n := int(it.cost) - ItemBytes
	if it.from != nil {
		n -= it.from.bytes(it.kind)
	}
	return n
}

// Add appends b, which keeps whole bytes of memory in use. The queue keeps b itself, or a copy if
// it's small and not droppable.
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

// hold counts n bytes of the client's own memory.
func (q *Queue) hold(n int) {
	q.Held += n
	q.Set.hold(n)
}

// copy appends bytes to the last item, if that has room, or as a new one.
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
	return append([]byte(nil), make([]byte, room)...)[:0] // its capacity is the whole allocation
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
	const most = 256 // items visited: many in a row may have been dropped
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

// AddFront queues bytes that go before all others, and behind earlier ones of their kind: the rest of
// a record that the kernel took in part. It can't be dropped, as its number is used up.
func (q *Queue) AddFront(b []byte) {
	q.begin()
	before := q.frontCost()
	q.front = append(q.front, b...)
	q.Bytes += len(b)
	q.hold(q.frontCost() - before)
	q.settle()
}

// Front returns the bytes that go before all items.
func (q *Queue) Front() []byte { return q.front[q.gone:] }

// SentFront takes n bytes off those that go before all items.
func (q *Queue) SentFront(n int) {
	q.Bytes -= n
	if q.gone += n; q.gone < len(q.front) {
		return
	}
	q.hold(-q.frontCost())
	q.front, q.gone = nil, 0
	q.settle()
}

// frontCost is the memory of the bytes that go before all items.
func (q *Queue) frontCost() int { return cap(q.front) }

// Begin notes that the first item's beginning is already sent.
func (q *Queue) Begin() { q.begun = true }

// Sent takes n bytes off the items.
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

// remove removes an item and its memory from the counts.
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

// settle updates the queue's rank by its burden.
func (q *Queue) settle() {
	if q.live == 0 && q.front == nil {
		q.drops.clear(q)
		q.hold(-q.Held)
		q.Set.rank(q, 0)
		return
	}
	// Among equal burdens, the largest queue first.
	q.Set.rank(q, q.burden()+q.Held/1024)
}

// Waiting returns the client's backlog: the bytes behind the item being sent, or the next to be.
// One message is never a backlog, whatever its size.
func (q *Queue) Waiting() int {
	if q.live == 0 {
		return 0
	}
	return q.Held - queueBytes - int(q.items[q.head].cost) - q.frontCost()
}

// burden returns the bytes the client is responsible for: its backlog, and the item being sent
// unless other clients share it.
func (q *Queue) burden() int {
	switch {
	case q.live == 0 && q.front == nil:
		return 0
	case q.live > 0 && q.Set.shared(&q.items[q.head]):
		return q.Waiting() + q.frontCost()
	}
	return q.Held
}

// FreeItems is the number of messages that may wait behind the one being sent, whatever their size,
// so that a few large ones in a row don't close a client.
const FreeItems = 4

// over reports whether the backlog exceeds a bound, not counting requested messages.
func (q *Queue) over(bound int) bool {
	return q.Waiting() > bound+q.history && q.count-int(q.items[q.head].count) > FreeItems
}

// enough is the part of its bound, in quarters, that a queue is dropped to, so that a channel's
// messages are dropped in a row, with one gap notice.
const enough = 3

// Bound drops messages if the backlog exceeds a bound, as dropOldest does, and reports how many,
// and whether that was enough.
func (q *Queue) Bound(bound int, note func(*Origin) []byte) (dropped int, ok bool) {
	if !q.over(bound) {
		return 0, true
	}
	dropped = q.dropOldest((bound+q.history)/4*enough, note)
	return dropped, !q.over(bound)
}

// makeRoom makes room for an item when items is full: by compacting if a third is sent or dropped,
// so that the items moved are at most twice those removed since the last time, else by growing.
func (q *Queue) makeRoom() {
	if n := cap(q.items); n > 0 && 3*q.live <= 2*n {
		q.move(q.items[:0])
		return
	}
	q.move(make([]item, 0, roomFor(q.live)))
}

// fit shrinks items when most of them are gone: with makeRoom, an item takes 60 B right after items
// has grown, and 80 B at most.
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

// spareItems is the spare capacity of a queue beyond twice its need.
const spareItems = 2

func roomFor(items int) int { return items + items/2 + 2 }

// move moves the pending items to the front of another slice, or of the same.
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
		clear(rest) // same slice
	}
	q.items, q.head, q.drops.next = to, 0, next
}
