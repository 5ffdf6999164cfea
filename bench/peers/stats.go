package main

import (
	"math"
	"slices"
)

// median returns the middle one, or the mean of the middle two; NaN of none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile returns the smallest value that so large a share is not above; NaN
// of none.
func quantile(values []float64, share float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(n-1, max(0, int(math.Ceil(share*float64(n)))-1))]
}
