package growth

import (
	"testing"

	"github.com/pushgate/pushgate/bench/rig"
)

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

// The marginal cost is the difference between two steps of the same round.
func TestMarginal(t *testing.T) {
	a := &step{At: 1000, Figures: map[figure]rig.Values{figureRSS: {10e3, 20e3}}}
	b := &step{At: 3000, Figures: map[figure]rig.Values{figureRSS: {210e3, 420e3}}}
	c := &step{At: 9000}
	if got := marginal(a, b, figureRSS); len(got) != 2 || got[0] != 100 || got[1] != 200 {
		t.Errorf("%v, want 100 and 200", got)
	}
	if got := middle([]*step{a, b, c}); got != b {
		t.Errorf("the middle is at %v", got.At)
	}
}
