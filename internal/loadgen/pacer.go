package loadgen

import (
	"math"
	"time"
)

// Pacer lays the slots of an open model on the time axis: slot k is due at
// k/rate after the start, whatever became of the slots before it. It is pure:
// the caller brings the clock. The zero Pacer is without limit: every slot is
// due at once.
type Pacer struct {
	rate float64 // slots per second
}

// NewPacer returns a pacer for a rate per second; 0 is without limit.
func NewPacer(rate float64) Pacer { return Pacer{rate: rate} }

// At returns when a slot is due, counted from the start.
func (p Pacer) At(slot uint64) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	at := float64(slot) / p.rate * float64(time.Second)
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
	if p.rate <= 0 {
		return math.MaxUint64
	}
	// The estimate is off by rounding only; At decides.
	n := uint64(elapsed.Seconds()*p.rate) + 1
	for n > 0 && p.At(n-1) > elapsed {
		n--
	}
	for p.At(n) <= elapsed {
		n++
	}
	return n
}
