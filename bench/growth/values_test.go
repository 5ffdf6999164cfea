package main

import (
	"math"
	"testing"
)

func TestValues(t *testing.T) {
	tests := map[string]struct {
		values values
		mid    float64
		text   string
	}{
		"none":  {nil, math.NaN(), ""},
		"one":   {values{2}, 2, "2.0"},
		"three": {values{9, 1, 2}, 2, "2.0 [1.0...9.0]"},
		"four":  {values{4, 1, 2, 3}, 2.5, "2.5 [1.0...4.0]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.values.mid(); got != tt.mid && !(math.IsNaN(got) && math.IsNaN(tt.mid)) {
				t.Errorf("median %v, want %v", got, tt.mid)
			}
			if got := tt.values.text("%.1f"); got != tt.text {
				t.Errorf("%q, want %q", got, tt.text)
			}
		})
	}
}

func TestFlat(t *testing.T) {
	tests := map[string]struct {
		costs []float64
		want  bool
	}{
		"the same":       {[]float64{3, 3}, true},
		"a little less":  {[]float64{109, 105, 100}, true},
		"a little more":  {[]float64{100, 112}, false},
		"in between":     {[]float64{100, 120, 100}, false},
		"costs nothing":  {[]float64{0, 1}, false},
		"less than zero": {[]float64{-1, 1}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := flat(tt.costs...); got != tt.want {
				t.Errorf("flat is %v, the ratio %v", got, ratio(tt.costs...))
			}
		})
	}
}

// What one more costs is what two steps of the same round differ by.
func TestMarginal(t *testing.T) {
	a := &step{At: 1000, Figures: map[figure]values{figureRSS: {10e3, 20e3}}}
	b := &step{At: 3000, Figures: map[figure]values{figureRSS: {210e3, 420e3}}}
	c := &step{At: 9000}
	if got := marginal(a, b, figureRSS); len(got) != 2 || got[0] != 100 || got[1] != 200 {
		t.Errorf("%v, want 100 and 200", got)
	}
	if got := middle([]*step{a, b, c}); got != b {
		t.Errorf("the middle is at %v", got.At)
	}
}
