package chart

import "math"

// axis maps values to a part of the drawing.
type axis struct {
	low, high float64
	log       bool
	ticks     []float64
}

// linear returns an axis from 0 to most, or to the next tick where it's to be
// whole, with four to eight round ticks.
func linear(most float64, whole bool) axis {
	step := tickStep(most)
	a := axis{high: max(most, step)}
	if whole {
		a.high = math.Ceil(a.high/step-1e-9) * step
	}
	for v := 0.0; v <= a.high*1.001; v += step {
		a.ticks = append(a.ticks, v)
	}
	return a
}

// logarithmic returns an axis between two values over 0, with ticks at the
// powers of ten, and at 2 and 5 where there are few of these.
func logarithmic(low, high float64) axis {
	a := axis{low: low, high: max(high, low*10), log: true}
	marks := []float64{1}
	if a.high/a.low < 200 {
		marks = []float64{1, 2, 5}
	}
	for power := math.Pow(10, math.Floor(math.Log10(a.low))); power <= a.high; power *= 10 {
		for _, m := range marks {
			if v := m * power; v >= a.low*0.999 && v <= a.high*1.001 {
				a.ticks = append(a.ticks, v)
			}
		}
	}
	return a
}

// at returns where v is between 0 and 1.
func (a axis) at(v float64) float64 {
	if a.log {
		return (math.Log10(max(v, a.low)) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
	}
	return v / a.high
}

// tickStep returns a round distance that has an axis of this length marked four
// to eight times.
func tickStep(length float64) float64 {
	if length <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(length)))
	switch {
	case length/step >= 8:
		return step * 2
	case length/step >= 4:
		return step
	case length/step >= 2:
		return step / 2
	}
	return step / 5
}
