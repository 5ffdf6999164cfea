package report

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// TestScaleHoldsItsValues: whatever the values, they lie on the scale, and the
// ticks are few and in order.
func TestScaleHoldsItsValues(t *testing.T) {
	units := []loadgen.Unit{loadgen.UnitCount, loadgen.UnitDuration, loadgen.UnitBytes, loadgen.UnitRate, loadgen.UnitPercent, loadgen.UnitCPUs}
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom(units).Draw(t, "unit")
		high := rapid.Float64Range(0, 1e13).Draw(t, "high")
		low := min(1+high*rapid.Float64Range(0, 1).Draw(t, "low"), high) // ns and such: not below 1
		s := valueScale(unit, rapid.Bool().Draw(t, "log"), low, high, 5)
		if s.high < high*(1-1e-9) || s.log && s.low > low*(1+1e-9) {
			t.Fatalf("%v to %v on a scale from %v to %v", low, high, s.low, s.high)
		}
		if len(s.ticks) > 15 || len(s.ticks) < 2 {
			t.Fatalf("%d ticks: %v", len(s.ticks), s.ticks)
		}
		for i, v := range s.ticks {
			if i > 0 && v <= s.ticks[i-1] || math.IsNaN(s.at(v)) {
				t.Fatalf("ticks %v", s.ticks)
			}
		}
		if len(thin(s.ticks, 5)) > 6 {
			t.Fatalf("%d ticks are left", len(thin(s.ticks, 5)))
		}
	})
}

func TestTickText(t *testing.T) {
	tests := map[string]struct {
		unit loadgen.Unit
		v    float64
		high float64
	}{
		"20k":     {loadgen.UnitRate, 20000, 25000},
		"2.5M":    {loadgen.UnitCount, 2.5e6, 5e6},
		"1500":    {loadgen.UnitCount, 1500, 3000},
		"0.05":    {loadgen.UnitCPUs, 0.05, 0.2},
		"50 ms":   {loadgen.UnitDuration, 50e6, 1e8},
		"2 us":    {loadgen.UnitDuration, 2000, 1e8},
		"500 ns":  {loadgen.UnitDuration, 500, 1000},
		"1.5 GiB": {loadgen.UnitBytes, 1.5 * (1 << 30), 2 << 30},
		"8 MiB":   {loadgen.UnitBytes, 8 << 20, 16 << 20},
		"600 B":   {loadgen.UnitBytes, 600, 1000},
		"0":       {loadgen.UnitRate, 0, 25000},
		"100":     {loadgen.UnitPercent, 100, 100},
	}
	for want, tt := range tests {
		if got := tickText(tt.unit, tt.v, scale{high: tt.high}); got != want {
			t.Errorf("%v %s: %q, want %q", tt.v, tt.unit, got, want)
		}
	}
	for nines, want := range map[float64]string{0: "0 %", 1: "90 %", 2: "99 %", 3: "99.9 %", 5: "99.999 %"} {
		if got := percentileText(nines); got != want {
			t.Errorf("%v nines: %q, want %q", nines, got, want)
		}
	}
}
