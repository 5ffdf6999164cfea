package gateway

// makeRoom makes place for an item where items is full: those that were sent and
// dropped leave theirs if they are a third of all, so that what is moved is at
// most twice of what has gone since the last time.
func (q *queue) makeRoom() {
	if n := cap(q.items); n > 0 && 3*q.live <= 2*n {
		q.move(q.items[:0])
		return
	}
	q.move(make([]queued, 0, roomFor(q.live)))
}

// fit gives memory back where most of items has gone: with makeRoom, an item
// takes 60 B right after items has grown, and 80 B at most.
func (q *queue) fit() {
	if cap(q.items) <= 2*q.live+spareItems {
		return
	}
	if q.live == 0 {
		q.items = nil
		return
	}
	q.move(make([]queued, 0, roomFor(q.live)))
	q.drops.fit(q)
}

// spareItems is how many a queue has room for besides twice of what it needs.
const spareItems = 2

func roomFor(items int) int { return items + items/2 + 2 }

// move moves what waits to the front of another slice, or of the same.
func (q *queue) move(to []queued) {
	next := -1
	for i := q.head; i < len(q.items); i++ {
		if i >= q.drops.next && next < 0 {
			next = len(to)
		}
		it := q.items[i]
		if it.b == nil {
			continue
		}
		if it.kind&itemLatest != 0 {
			q.drops.moved(it.from.channel, i, len(to))
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
