package gateway

import (
	"sync"
	"sync/atomic"
)

// largeBytes is the size from which on something that waits for several clients
// is counted once. Smaller ones are counted for each of them: an item of a queue
// takes 80 B itself.
const largeBytes = 4 << 10

// tally counts the memory of all that waits for a shard's clients: a large message
// once, however many of them it waits for. It is owned by the shard's loop.
type tally struct {
	all   *total
	bytes int64
	large map[*byte]largeItem
}

// total is the sum of the shards' tallies, where a large message that waits in
// several of them counts once too.
type total struct {
	// Atomic

	bytes atomic.Int64

	// Guarded by mu

	mu    sync.Mutex
	large map[*byte]largeItem
}

// largeItem is a buffer that waits. Its key is its last byte, which is among
// what waits for each client for the longest.
type largeItem struct {
	refs  int // clients, or shards in total
	bytes int // the most that any of them has to get
}

// add counts an item that is queued.
func (t *tally) add(it *queued) {
	n := len(it.b)
	if it.large = !it.own && n >= largeBytes; !it.large {
		t.bytes += int64(n)
		t.all.bytes.Add(int64(n))
		return
	}
	key := &it.b[n-1]
	l, known := t.large[key]
	l.refs++
	if more := n - l.bytes; more > 0 {
		l.bytes = n
		t.bytes += int64(more)
		t.all.hold(key, n, !known)
	}
	if t.large == nil {
		t.large = make(map[*byte]largeItem)
	}
	t.large[key] = l
}

// remove takes off an item that leaves its queue, with what is left of it.
func (t *tally) remove(it *queued) {
	if !it.large {
		t.shrink(it, len(it.b))
		return
	}
	key := &it.b[len(it.b)-1]
	l := t.large[key]
	if l.refs--; l.refs > 0 {
		t.large[key] = l
		return
	}
	delete(t.large, key)
	t.bytes -= int64(l.bytes)
	t.all.release(key)
}

// shared reports whether an item waits for other clients of the shard too.
func (t *tally) shared(it *queued) bool {
	return it.large && t.large[&it.b[len(it.b)-1]].refs > 1
}

// shrink takes n bytes off an item that were sent. A large one is kept whole
// until its last byte is.
func (t *tally) shrink(it *queued, n int) {
	if it.large {
		return
	}
	t.bytes -= int64(n)
	t.all.bytes.Add(-int64(n))
}

// hold counts a large buffer of which a shard has to send n bytes; first says
// that it wasn't waiting there before.
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
