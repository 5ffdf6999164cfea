package gateway

import (
	"sync"
	"sync/atomic"
)

// largeBytes is the size from which on something that waits for several clients
// is counted once. Smaller ones are counted for each of them, as if each had one
// of its own.
const largeBytes = 4 << 10

// set is a shard's queues. It counts the memory of all that waits in them: a large
// message once, however many clients it waits for. It is owned by the shard's loop.
type set struct {
	queues table[queue]
	all    *total
	bytes  int64
	large  map[*byte]largeItem
	ranks  ranks
}

// open returns a queue for the client in a slot, of what is to be sent to it behind
// the beginning of a message, if that has begun.
func (t *set) open(owner uint32, begun bool) (i uint32, q *queue) {
	i, q = t.queues.take()
	q.begun, q.owner, q.index, q.set = begun, owner, i, t
	return i, q
}

// at returns the queue with an index.
func (t *set) at(i uint32) *queue { return t.queues.at(i) }

// free gives up a queue, with what is in it.
func (t *set) free(i uint32) {
	t.queues.at(i).reset()
	t.queues.put(i)
}

// used returns how many queues there are.
func (t *set) used() int { return t.queues.used() }

// total is the sum over the shards' sets, where a large message that waits in
// several of them counts once too.
type total struct {
	bytes atomic.Int64

	// Guarded by mu

	mu    sync.Mutex
	large map[*byte]largeItem
}

// largeItem is a buffer that waits. Its key is its last byte, which is among
// what waits for each client for the longest.
type largeItem struct {
	refs  int // clients, or shards in total
	bytes int // of the buffer
	// holders are the indices of the queues that it waits in, added up without
	// carry: where there is one, it says which.
	holders uint32
}

// hold counts memory that is one client's alone.
func (t *set) hold(n int) {
	t.bytes += int64(n)
	t.all.bytes.Add(int64(n))
}

// add counts an item that is queued.
func (t *set) add(it *queued, q *queue) {
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
		t.bytes += int64(more)
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

// remove takes off an item that leaves its queue.
func (t *set) remove(it *queued, q *queue) {
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
	t.bytes -= int64(l.bytes)
	t.all.release(key)
}

// blame ranks a queue anew whose message has begun, or ceased, to be its own.
func (t *set) blame(index uint32) {
	if index == 0 { // the same queue twice
		return
	}
	if q := t.queues.at(index); q.bucket != 0 {
		q.settle()
	}
}

// shared reports whether an item waits for other clients of the shard too.
func (t *set) shared(it *queued) bool {
	return it.kind&itemLarge != 0 && t.large[&it.b[len(it.b)-1]].refs > 1
}

// hold counts a large buffer of n bytes; first says that it wasn't waiting in the
// shard before.
func (t *total) hold(key *byte, n int, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.large[key]
	if first {
		l.refs++
	}
	if more := n - l.bytes; more > 0 {
		l.bytes = n
		t.bytes.Add(int64(more))
	}
	if t.large == nil {
		t.large = make(map[*byte]largeItem)
	}
	t.large[key] = l
}

// release is for a shard that has sent all of a large buffer.
func (t *total) release(key *byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.large[key]
	if l.refs--; l.refs > 0 {
		t.large[key] = l
		return
	}
	delete(t.large, key)
	t.bytes.Add(-int64(l.bytes))
}
