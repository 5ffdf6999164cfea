// Package heartbeat holds the timing wheel that tells a shard which of its
// connections are due for a ping, a timeout or the end of a wait.
//
// A timer of the runtime for each of a million connections costs 200 B and a
// heap that is sorted anew with every frame that is read. Here a connection
// costs 12 B in its slot's entry of a table without pointers, and to be moved
// to another tick costs a few stores. There is no clock and no goroutine
// inside: ticks are numbers, and their length is the owner's business.
package heartbeat

import "fmt"

// Wheel holds at most one due tick for each id, which is a small integer such
// as the slot of a connection. It is not for concurrent use.
//
// The ids of a bucket are in a doubly linked list through the entries
// themselves, so that an id is moved or cancelled without a search: 18 ns with
// a million ids, and 31 ns to fire one and set it anew (BenchmarkSet,
// BenchmarkAdvance). Ticks are serial numbers: they wrap, and a tick is after
// another one that it is less than 2^31 ahead of.
type Wheel struct {
	// Immutable.

	mask uint32 // number of buckets - 1

	// Owned by the shard's loop.

	chunks []*[chunkSize]entry
	heads  []link // of the buckets, then late and later
	count  int
	now    uint32
	spread uint32

	// Owned by the shard's loop: where Advance is.

	scan      uint32 // the last tick whose bucket is done
	cursor    link   // next to be looked at in the bucket of scan+1
	inBucket  bool   // cursor is good
	advancing bool
}

// link is an id + 1, or 0 at the end of a list.
type link uint32

// entry is one id's place. Millions of them exist: 12 bytes.
type entry struct {
	due  uint32
	next link
	prev link // headMark | list at its head; 0 when the id is in no list
}

const (
	headMark  = 1 << 31
	chunkBits = 11
	chunkSize = 1 << chunkBits // 24 KiB, a size class of the allocator
	maxSize   = 1 << 24
)

// New makes a wheel of size buckets, a power of two, at tick 0. Ids that are
// due further away than size ticks go round: they are looked at, and left,
// once a turn. Choose a size beyond the usual distance.
func New(size int) *Wheel {
	if size < 1 || size > maxSize || size&(size-1) != 0 {
		panic(fmt.Sprintf("heartbeat: %d buckets, want a power of two up to %d", size, maxSize))
	}
	return &Wheel{mask: uint32(size - 1), heads: make([]link, size+2)}
}

// Len returns the number of ids that have a tick.
func (w *Wheel) Len() int { return w.count }

// Now returns the tick that Advance was last told.
func (w *Wheel) Now() uint32 { return w.now }

// Due returns the tick of an id, if it has one.
func (w *Wheel) Due(id uint32) (tick uint32, ok bool) {
	if int(id>>chunkBits) >= len(w.chunks) {
		return 0, false
	}
	e := w.at(id)
	return e.due, e.prev != 0
}

// Set makes an id due at a tick, in place of an earlier one. An id that is
// due now or before fires at the next Advance. Ids are below 2^31 - 1; the
// table grows to the largest.
func (w *Wheel) Set(id uint32, due uint32) {
	for int(id>>chunkBits) >= len(w.chunks) {
		w.chunks = append(w.chunks, new([chunkSize]entry))
	}
	e := w.at(id)
	if e.prev != 0 {
		if e.due == due && after(due, w.now) {
			return // it is in the right bucket
		}
		w.unlink(id, e)
	} else {
		w.count++
	}
	e.due = due
	w.push(w.listFor(due), id, e)
}

// Cancel takes the tick of an id away, if it has one.
func (w *Wheel) Cancel(id uint32) {
	if _, ok := w.Due(id); !ok {
		return
	}
	w.unlink(id, w.at(id))
	w.count--
}

// Spread returns a tick in (Now, Now+interval] for an id that is due every
// interval. Successive calls spread over the interval evenly, however they
// are bunched in time: each picks a phase of the interval and not a distance
// from now, and the phases follow the golden ratio, so that any run of calls
// fills the largest gaps that the calls before it have left.
func (w *Wheel) Spread(interval uint32) uint32 {
	if interval == 0 {
		return w.now + 1
	}
	const golden = 2654435769 // 2^32 / 1.618…
	w.spread += golden
	phase := uint32(uint64(w.spread) * uint64(interval) >> 32)
	distance := phase - w.now%interval
	if phase <= w.now%interval {
		distance += interval
	}
	return w.now + distance
}
