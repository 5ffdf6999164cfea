package gateway

import (
	"runtime/debug"
	"runtime/metrics"
)

// garbage has Go's collector run more often while much waits for clients, or is kept
// of what they sent, or for those who come back. It lets garbage become as much as what
// is in use, so that queues, inputs and rings at their bound would take it twice. It
// is owned by the ticker.
type garbage struct {
	wanted  bool
	waiting bool   // queues or inputs hold much
	kept    bool   // rings do
	percent int    // that the collector runs with; 0: as before
	before  int    // percent
	until   uint64 // number of the collection that a higher percentage waits for; 0: none does
}

// How much garbage there may be, in percent of what is in use.
const (
	// waitingPercent holds while the queues hold a quarter of limits.total_queue_bytes
	// or more, or the inputs one of limits.total_input_bytes: 400 clients that fill
	// 64 MiB had the process grow by 2.1 times that with Go's 100, and do by 1.4 times
	// (TestAttackQueuesResident). It costs nothing while they hold less.
	waitingPercent = 25
	// keptPercent holds while the rings hold half of redis.ring.total_bytes or more, as
	// they do all the time on a busy gateway, and the others don't, which may be more:
	// a process with 64 MiB of them grows by 1.4 times that in place of 2.3 (make
	// attacks). A message to one client then takes 0.9 to 1.25 times the CPU, a large one
	// the least; one to many clients takes what it did (make bench-collector).
	keptPercent = 15
)

// note takes what the queues, the inputs and the rings hold, in parts of what they may.
func (g *garbage) note(queues, inputs, rings float64) {
	if !g.wanted {
		return
	}
	g.waiting = isMuch(g.waiting, max(queues, inputs), 1./4)
	g.kept = isMuch(g.kept, rings, 1./2)
	percent := 0
	switch {
	case g.waiting:
		percent = waitingPercent
	case g.kept:
		percent = keptPercent
	}
	if percent == g.percent {
		g.until = 0
		return
	}
	// What the last collection found in use may be garbage by now. A higher percentage
	// would let as much again pile up before the next collection, which is waited for.
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

// isMuch reports whether held is above a bound, or was and isn't below half of it.
func isMuch(was bool, held, bound float64) bool {
	if was {
		bound /= 2
	}
	return held > bound
}
