package account

import (
	"math"
	"time"
)

// Pacer lays the slots of an open model on the time axis: slot k is due at
// k/rate after the start, whatever became of the slots before it. It is pure:
// the caller brings the clock. The zero Pacer is without limit: every slot is
// due at once.
type Pacer struct {
	Rate float64 // slots per second
}

// At returns when a slot is due, counted from the start.
func (p Pacer) At(slot uint64) time.Duration {
	if p.Rate <= 0 {
		return 0
	}
	at := float64(slot) / p.Rate * float64(time.Second)
	if at >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(at)
}

// Due returns how many slots are due by elapsed: exactly those with
// At(slot) <= elapsed.
func (p Pacer) Due(elapsed time.Duration) uint64 {
	if elapsed < 0 {
		return 0
	}
	if p.Rate <= 0 {
		return math.MaxUint64
	}
	// The estimate is off by rounding only; At decides.
	n := uint64(elapsed.Seconds()*p.Rate) + 1
	for n > 0 && p.At(n-1) > elapsed {
		n--
	}
	for p.At(n) <= elapsed {
		n++
	}
	return n
}

// Elapsed is the time between two readings of the engine's clock.
func Elapsed(now, then int64) time.Duration { return time.Duration(now - then) }

// LateAfter is how long after its time a slot may be sent before it counts as
// late.
const LateAfter = 5 * time.Millisecond
