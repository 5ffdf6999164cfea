package gateway

import "pushgate/fanout"

// queue is what waits for a client because the kernel's send buffer is full.
// It holds references to shared encodings, not copies of them.
type queue struct {
	items []queued // items[head:] is still to be sent
	head  int
	bytes int    // the sum of these
	tally *tally // where they are counted
	// history is how much of what was queued the client asked for, which its
	// bound is raised by while the queue lasts.
	history int
	begun   bool   // the first bytes of items[head] are sent: the rest has to follow
	owner   uint32 // slot
}

// queued is one thing to send.
type queued struct {
	b []byte // must not change any more
	// from is the first of the messages in b; nil for what can't be dropped.
	from *fanout.Message
	// batch are all messages in b, on the way into the queue; they aren't kept.
	batch []*fanout.Message
	// gap is the channel whose dropped messages b tells of; empty otherwise.
	gap string
	// history: the client asked for it.
	history bool
	own     bool // b is a copy that nothing else refers to
	large   bool // b is counted once for all of its clients; set by the tally
}

// ownBytes is up to where copies for a client share an item: an item takes 80 B
// itself, and a pong two.
const ownBytes = 4 << 10

// add appends an item.
func (q *queue) add(it queued) {
	q.bytes += len(it.b)
	q.tally.add(&it)
	if n := len(q.items); it.own && n > q.head && q.items[n-1].own && len(q.items[n-1].b) < ownBytes {
		q.items[n-1].b = append(q.items[n-1].b, it.b...)
		return
	}
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
}

// pending appends the buffers to send to dst, oldest first, up to its capacity.
func (q *queue) pending(dst [][]byte) [][]byte {
	for _, it := range q.items[q.head:] {
		if len(dst) == cap(dst) {
			break
		}
		dst = append(dst, it.b)
	}
	return dst
}

// sent takes n bytes off the front.
func (q *queue) sent(n int) {
	q.bytes -= n
	for n > 0 {
		it := &q.items[q.head]
		if n < len(it.b) {
			q.tally.shrink(it, n)
			it.b = it.b[n:]
			q.begun = true
			return
		}
		n -= len(it.b)
		q.tally.remove(it)
		*it = queued{}
		q.head++
		q.begun = false
	}
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

// waiting returns the bytes behind the item that is being sent, or is the next
// to be: what the client is behind by. One message is never that, whatever its
// size.
func (q *queue) waiting() int {
	if q.head == len(q.items) {
		return 0
	}
	return q.bytes - len(q.items[q.head].b)
}

// burden returns the bytes that the client is to blame for: those that wait, and
// those that are being sent unless others are sent them as well.
func (q *queue) burden() int {
	if q.head == len(q.items) || q.tally.shared(&q.items[q.head]) {
		return q.waiting()
	}
	return q.bytes
}

// freeItems is how many items may wait behind the one that is being sent whatever
// their size, so that a few large messages in a row are no reason to end a client.
const freeItems = 4

// over reports whether more waits than bound allows.
func (q *queue) over(bound int) bool {
	return q.waiting() > bound && len(q.items)-q.head-1 > freeItems
}

// forget takes an item that won't be sent off what is counted.
func (q *queue) forget(it *queued) {
	q.bytes -= len(it.b)
	q.tally.remove(it)
}

// first returns the index of the first item that can be dropped without
// breaking the stream.
func (q *queue) first() int {
	if q.begun {
		return q.head + 1
	}
	return q.head
}

// droppable returns the bytes that dropUnsent frees.
func (q *queue) droppable() int {
	if q.begun {
		return q.waiting()
	}
	return q.bytes
}

// dropUnsent forgets all but the rest of an item whose first bytes are on the
// wire already.
func (q *queue) dropUnsent() {
	keep := q.first()
	for i := keep; i < len(q.items); i++ {
		q.forget(&q.items[i])
	}
	clear(q.items[min(keep, len(q.items)):])
	q.items = q.items[:min(keep, len(q.items))]
}

// dropOldest drops messages for which may holds, oldest first, until at most
// limit bytes wait, and returns how many items it dropped. The newest stays.
// Where those of a channel begin to be missing, note's bytes take their place.
func (q *queue) dropOldest(limit int, may func(*fanout.Message) bool, note func(*fanout.Message) []byte) (dropped int) {
	kept := q.items[:min(q.head+1, len(q.items))]
	rest := q.items[len(kept):]
	told := make(map[string]bool) // channels whose gap is in front of the item
	for i, it := range rest {
		if i < len(rest)-1 && q.waiting() > limit && it.from != nil && may(it.from) {
			q.forget(&it)
			dropped++
			channel := it.from.Channel
			if told[channel] {
				continue
			}
			it = queued{b: note(it.from), gap: channel}
			if len(it.b) == 0 { // bare payloads leave no room for it
				told[channel] = true
				continue
			}
			q.bytes += len(it.b)
			q.tally.add(&it)
		}
		switch {
		case it.gap != "":
			told[it.gap] = true
		case it.from != nil:
			delete(told, it.from.Channel)
		}
		kept = append(kept, it)
	}
	clear(q.items[len(kept):])
	q.items = kept
	return dropped
}

// replace drops the messages of a channel that wait, because a newer one says
// all that they did.
func (q *queue) replace(channel string) (dropped int) {
	kept := q.items[:min(q.first(), len(q.items))]
	for _, it := range q.items[len(kept):] {
		if it.from != nil && it.from.Channel == channel {
			q.forget(&it)
			dropped++
			continue
		}
		kept = append(kept, it)
	}
	clear(q.items[len(kept):])
	q.items = kept
	return dropped
}

// maxIdleItems is the capacity that a freed queue keeps for its next owner.
const maxIdleItems = 64

// reset empties the queue.
func (q *queue) reset() {
	items := q.items
	for i := q.head; i < len(items); i++ {
		q.tally.remove(&items[i])
	}
	clear(items)
	if cap(items) > maxIdleItems {
		items = nil
	}
	*q = queue{items: items[:0], tally: q.tally}
}
