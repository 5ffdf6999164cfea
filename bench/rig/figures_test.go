package rig

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		want   float64
	}{
		"one":   {[]float64{2}, 2},
		"three": {[]float64{9, 1, 2}, 2},
		"four":  {[]float64{4, 1, 2, 3}, 2.5},
	} {
		if got := Median(tt.values); got != tt.want {
			t.Errorf("%s: median %v, want %v", name, got, tt.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("the median of none is %v", got)
	}
}
