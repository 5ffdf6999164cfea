package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// values are what one figure had, a value or more for each round, in their
// order.
type values []float64

// mid is the median.
func (v values) mid() float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// text is the median, and what the values were between.
func (v values) text(format string) string {
	if len(v) == 0 {
		return ""
	}
	if len(v) == 1 {
		return fmt.Sprintf(format, v[0])
	}
	return fmt.Sprintf(format+" ["+format+"..."+format+"]", v.mid(), slices.Min(v), slices.Max(v))
}

// with computes a value from each two of the same round.
func (v values) with(o values, fn func(v, o float64) float64) values {
	var all values
	for i := range min(len(v), len(o)) {
		all = append(all, fn(v[i], o[i]))
	}
	return all
}

func (v values) minus(o values) values {
	return v.with(o, func(v, o float64) float64 { return v - o })
}

func (v values) times(x float64) values {
	return v.with(v, func(v, _ float64) float64 { return v * x })
}

// marginal is what one more of x costs on the way from a step to another.
func marginal(from, to *step, f figure) values {
	return to.of(f).minus(from.of(f)).times(1 / (to.At - from.At))
}

// middle is the step that is furthest from both ends, as ratios go.
func middle(steps []*step) *step {
	first, last := steps[0], steps[len(steps)-1]
	want := math.Sqrt(first.At * last.At)
	return slices.MinFunc(steps, func(a, b *step) int {
		return cmp.Compare(math.Abs(math.Log(a.At/want)), math.Abs(math.Log(b.At/want)))
	})
}

// flatWithin is the largest ratio of two costs that still are the same.
const flatWithin = 1.1

// ratio is the largest over the smallest, infinite where one costs nothing.
func ratio(costs ...float64) float64 {
	low := slices.Min(costs)
	if low <= 0 {
		return math.Inf(1)
	}
	return slices.Max(costs) / low
}

func flat(costs ...float64) bool { return ratio(costs...) <= flatWithin }

// mids are the medians of a figure.
func mids(steps []*step, f figure) (all []float64) {
	for _, s := range steps {
		all = append(all, s.of(f).mid())
	}
	return all
}
