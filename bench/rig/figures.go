package rig

import (
	"fmt"
	"math"
	"slices"
)

// Values are the measurements of one figure, one or more a round, in order.
type Values []float64

// Mid is the median: the middle one, or the mean of the middle two; NaN of none.
func (v Values) Mid() float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// Quantile returns the smallest value that so large a share is not above; NaN
// of none.
func (v Values) Quantile(share float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	n := len(v)
	return slices.Sorted(slices.Values(v))[min(n-1, max(0, int(math.Ceil(share*float64(n)))-1))]
}

// Text is the median and, of several values, their range.
func (v Values) Text(format string) string {
	if len(v) == 0 {
		return ""
	}
	if len(v) == 1 {
		return fmt.Sprintf(format, v[0])
	}
	return fmt.Sprintf(format+" ["+format+"..."+format+"]", v.Mid(), slices.Min(v), slices.Max(v))
}

// With computes a value from each two of the same round.
func (v Values) With(o Values, fn func(v, o float64) float64) Values {
	var all Values
	for i := range min(len(v), len(o)) {
		all = append(all, fn(v[i], o[i]))
	}
	return all
}

// Minus subtracts round by round.
func (v Values) Minus(o Values) Values {
	return v.With(o, func(v, o float64) float64 { return v - o })
}

// Times multiplies each value.
func (v Values) Times(x float64) Values {
	return v.With(v, func(v, _ float64) float64 { return v * x })
}
