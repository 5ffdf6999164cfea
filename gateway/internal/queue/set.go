package queue

import (
	"sync"
	"sync/atomic"

	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// LargeBytes is the size from which a buffer queued for several clients is counted once. Smaller
// ones are counted for each client, as if each had its own copy.
const LargeBytes = 4 << 10

// Set is a shard's queues. It counts the memory of all pending output: a large message once,
// however many clients it waits for. It is owned by the shard's loop.
type Set struct {
	queues slab.Table[Queue]
	all    *Total
	Bytes  int64
	large  map[*byte]largeItem
	ranks  ranks
}

// NewSet returns a shard's set, whose memory is also counted in all.
func NewSet(all *Total) Set { return Set{all: all} }

// Open returns a queue for the client in slot owner.
func (t *Set) Open(owner uint32) (i uint32, q *Queue) {
	i, q = t.queues.Take()
	q.Owner, q.index, q.Set = owner, i, t
	return i, q
}

// At returns the queue with an index.
func (t *Set) At(i uint32) *Queue { return t.queues.At(i) }

// Free empties a queue and releases it.
func (t *Set) Free(i uint32) {
	t.queues.At(i).Reset()
	t.queues.Put(i)
}

// Used returns the number of queues.
func (t *Set) Used() int { return t.queues.Used() }

// Total is the sum over the shards' sets, counting a large message queued in several of them once
// too.
type Total struct {
	Bytes atomic.Int64

	// Guarded by mu

	mu    sync.Mutex
	large map[*byte]largeItem
}

// largeItem is a queued buffer. Its key is its last byte, which stays pending longest for each
// client.
type largeItem struct {
	refs  int // clients, or shards in total
	bytes int // of the buffer
	// holders is the XOR of the indices of the queues that hold it: with one holder it is that
	// queue's index.
	holders uint32
}

// hold counts n bytes of one client's own memory.
func (t *Set) hold(n int) {
	t.Bytes += int64(n)
	t.all.Bytes.Add(int64(n))
}

// add counts a queued item.
func (t *Set) add(it *item, q *Queue) {
	if it.kind&itemLarge == 0 {
		t.hold(int(it.cost))
		return
	}
	n := it.whole()
	t.hold(int(it.cost) - n)
	key := &it.b[len(it.b)-1]
	l, known := t.large[key]
	only := l.holders
	l.refs++
	l.holders ^= q.index
	if more := n - l.bytes; more > 0 {
		l.bytes = n
		t.Bytes += int64(more)
		t.all.hold(key, n, !known)
	}
	if t.large == nil {
		t.large = make(map[*byte]largeItem)
	}
	t.large[key] = l
	if l.refs == 2 {
		t.blame(only)
	}
}

// remove uncounts an item that leaves its queue.
func (t *Set) remove(it *item, q *Queue) {
	if it.kind&itemLarge == 0 {
		t.hold(-int(it.cost))
		return
	}
	t.hold(it.whole() - int(it.cost))
	key := &it.b[len(it.b)-1]
	l := t.large[key]
	l.holders ^= q.index
	if l.refs--; l.refs > 0 {
		t.large[key] = l
		if l.refs == 1 {
			t.blame(l.holders)
		}
		return
	}
	delete(t.large, key)
	t.Bytes -= int64(l.bytes)
	t.all.release(key)
}

// blame updates the rank of a queue whose message has become, or ceased to be, its own.
func (t *Set) blame(index uint32) {
	if index == 0 { // the same queue twice
		return
	}
	if q := t.queues.At(index); q.bucket != 0 {
		q.settle()
	}
}

// shared reports whether an item is also queued for other clients of the shard.
func (t *Set) shared(it *item) bool {
	return it.kind&itemLarge != 0 && t.large[&it.b[len(it.b)-1]].refs > 1
}

// hold counts a large buffer of n bytes; first says that the shard hadn't counted it before.
func (t *Total) hold(key *byte, n int, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.large[key]
	if first {
		l.refs++
	}
	if more := n - l.bytes; more > 0 {
		l.bytes = n
		t.Bytes.Add(int64(more))
	}
	if t.large == nil {
		t.large = make(map[*byte]largeItem)
	}
	t.large[key] = l
}

// release uncounts a large buffer for a shard.
func (t *Total) release(key *byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.large[key]
	if l.refs--; l.refs > 0 {
		t.large[key] = l
		return
	}
	delete(t.large, key)
	t.Bytes.Add(-int64(l.bytes))
}
