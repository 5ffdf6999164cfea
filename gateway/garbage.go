package gateway

import (
	"runtime/debug"
	"runtime/metrics"
)

// garbage makes Go's collector run more often while much memory is held by queues, inputs or replay
// rings, and while there are TLS handshakes. By default garbage may grow to the size of the live
// heap, so that the former at their bound would take twice as much, and a million clients that
// connect over TLS as well. With TLS and a small heap it makes the collector run less often. It is
// owned by the ticker.
type garbage struct {
	wanted  bool
	waiting bool   // queues or inputs hold much
	kept    bool   // rings hold much
	percent int    // GC percent in force; 0: the original
	before  int    // percent
	until   uint64 // number of the collection to wait for before raising the percentage; 0: none

	handshakes uint64 // completed so far
	released   uint64 // of them when memory was last given back
	quiet      int    // ticks since the last one
}

// GC percentages.
const (
	// waitingPercent applies while the queues hold a quarter of limits.total_queue_bytes or more,
	// or the inputs a quarter of limits.total_input_bytes: 400 clients that fill 64 MiB made the
	// process grow by 2.1 times that with Go's 100, and by 1.4 times with this
	// (TestAttackQueuesResident). It costs nothing while they hold less.
	waitingPercent = 25
	// keptPercent applies while the rings hold half of redis.ring.total_bytes or more, as they
	// always do on a busy gateway, and queues and inputs don't: a process with 64 MiB of rings
	// grows by 1.4 times that in place of 2.3 (make attacks). A message to one client then takes
	// 0.9 to 1.25 times the CPU, a large one the least; one to many clients takes the same (make
	// bench-collector).
	keptPercent = 15
)

const (
	// quietTicks is how long after the last handshake the memory of handshakes is given back.
	quietTicks = 10
	// releaseAfter is the number of handshakes that leave enough behind: 50 KB each, until the next
	// collection.
	releaseAfter = 500
	// largeHeap is the live heap from which the garbage of handshakes is kept low: below it, frequent
	// collections would take a quarter of the time of handshakes and save little.
	largeHeap = 64 << 20
	// smallHeap is how large the heap may grow, with its garbage, where there is TLS. A record of
	// AES-GCM leaves 1,280 bytes. With 10,000 clients the live heap is 7 MB, and 55,000 deliveries a
	// second made 11 collections a second, which took up to a tenth of the gateway's time; a flood of
	// handshakes spent as much on them. With this there are 3 a second.
	smallHeap = 32 << 20
)

// live returns the bytes that the last collection found live.
func live() uint64 {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(heap)
	return heap[0].Value.Uint64()
}

// note takes the memory of the queues, the inputs and the rings, as fractions of their bounds, and
// the number of TLS handshakes so far.
func (g *garbage) note(queues, inputs, rings float64, handshakes uint64) {
	if !g.wanted {
		return
	}
	if g.quiet++; handshakes != g.handshakes {
		g.handshakes, g.quiet = handshakes, 0
	}
	if g.quiet == quietTicks && g.handshakes-g.released >= releaseAfter {
		g.released = g.handshakes
		go debug.FreeOSMemory() // ends by itself; the ticker doesn't wait
	}
	g.waiting = isMuch(g.waiting, max(queues, inputs), 1./4)
	g.kept = isMuch(g.kept, rings, 1./2)
	var heap uint64
	if g.handshakes > 0 {
		heap = live()
	}
	percent := 0
	switch {
	case g.waiting, g.quiet < quietTicks && heap > largeHeap:
		percent = waitingPercent
	case g.kept:
		percent = keptPercent
	case heap > 0:
		percent = percentFor(heap)
	}
	if percent == g.percent {
		g.until = 0
		return
	}
	// Memory that the last collection found live may be garbage by now. Raising the percentage
	// would let as much again pile up before the next collection, so wait for that first.
	if g.percent != 0 && (percent == 0 || percent > g.percent) && !g.collected() {
		return
	}
	g.until = 0
	if percent == 0 {
		debug.SetGCPercent(g.before)
	} else if before := debug.SetGCPercent(percent); g.percent == 0 {
		g.before = before
	}
	g.percent = percent
}

// percentFor returns the GC percentage that lets a heap grow to smallHeap, in steps so that it rarely
// changes; 0, which is the original, if it does so anyway.
func percentFor(live uint64) int {
	const step = 50
	if live >= smallHeap/2 {
		return 0
	}
	return int((smallHeap-live)*100/live) / step * step
}

// collected reports whether a collection has begun and ended since its first call.
func (g *garbage) collected() bool {
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(cycles)
	ended := cycles[0].Value.Uint64()
	if g.until == 0 {
		g.until = ended + 2 // one may have been under way
	}
	return ended >= g.until
}

// isMuch reports whether held is above a bound, with hysteresis: once above, until it falls below
// half.
func isMuch(was bool, held, bound float64) bool {
	if was {
		bound /= 2
	}
	return held > bound
}
