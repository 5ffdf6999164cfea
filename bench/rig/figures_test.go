package rig

import (
	"math"
	"testing"
)

func TestValues(t *testing.T) {
	tests := map[string]struct {
		values Values
		mid    float64
		text   string
	}{
		"none":  {nil, math.NaN(), ""},
		"one":   {Values{2}, 2, "2.0"},
		"three": {Values{9, 1, 2}, 2, "2.0 [1.0...9.0]"},
		"four":  {Values{4, 1, 2, 3}, 2.5, "2.5 [1.0...4.0]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.values.Mid(); got != tt.mid && !(math.IsNaN(got) && math.IsNaN(tt.mid)) {
				t.Errorf("median %v, want %v", got, tt.mid)
			}
			if got := tt.values.Text("%.1f"); got != tt.text {
				t.Errorf("%q, want %q", got, tt.text)
			}
		})
	}
}

func TestQuantiles(t *testing.T) {
	values := Values{5, 1, 4, 2, 3}
	for share, want := range map[float64]float64{0.5: 3, 0.99: 5, 1: 5, 0.2: 1, 0: 1} {
		if got := values.Quantile(share); got != want {
			t.Errorf("quantile %v is %v, want %v", share, got, want)
		}
	}
}
