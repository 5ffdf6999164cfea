package report

import (
	"math"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// scale maps values to a length and knows where its ticks are.
type scale struct {
	low, high float64
	log       bool
	ticks     []float64
}

// at returns where v is between 0 and 1.
func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log10(max(v, s.low)), math.Log10(low), math.Log10(high)
	}
	if high <= low {
		return 0
	}
	return min(max((v-low)/(high-low), 0), 1)
}

// linear returns a scale from 0 to a round number not below high. step0 is
// the smallest step that means anything, such as one client.
func linear(high, step0 float64, binary bool, ticks int) scale {
	if high <= 0 {
		high = step0
	}
	step := max(roundStep(high/float64(ticks), binary), step0)
	n := max(int(math.Ceil(high/step-1e-9)), 1)
	s := scale{high: step * float64(n)}
	for i := range n + 1 {
		s.ticks = append(s.ticks, step*float64(i))
	}
	return s
}

// roundStep returns the next of 1, 2, 2.5, 5 times a power of ten, or of 1, 2,
// 4 ... times a power of 1024, that is not below v.
func roundStep(v float64, binary bool) float64 {
	if binary && v > 1 {
		return math.Exp2(math.Ceil(math.Log2(v) - 1e-9))
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// decades returns a logarithmic scale over powers of ten around what is there.
// With few of them, 2 and 5 get their ticks as well.
func decades(low, high float64) scale {
	from := math.Floor(math.Log10(low) + 1e-9)
	to := math.Ceil(math.Log10(high) - 1e-9)
	if to <= from {
		to = from + 1
	}
	s := scale{low: math.Pow(10, from), high: math.Pow(10, to), log: true}
	for e := from; e <= to; e++ {
		s.ticks = append(s.ticks, math.Pow(10, e))
		if to-from <= 2 && e < to {
			s.ticks = append(s.ticks, 2*math.Pow(10, e), 5*math.Pow(10, e))
		}
	}
	return s
}

// valueScale returns the scale for values of a unit up to high.
func valueScale(unit loadgen.Unit, log bool, low, high float64, ticks int) scale {
	switch {
	case log && low > 0:
		return decades(low, high)
	case unit == loadgen.UnitBytes:
		return linear(high, 1, true, ticks)
	case unit == loadgen.UnitCount:
		return linear(high, 1, false, ticks)
	case unit == loadgen.UnitCPUs:
		return linear(high, 0.01, false, ticks)
	case unit == loadgen.UnitDuration:
		return linear(high, 1e3, false, ticks)
	}
	return linear(high, 0.1, false, ticks)
}
