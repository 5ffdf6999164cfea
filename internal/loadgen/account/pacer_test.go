package account

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPacer(t *testing.T) {
	tests := map[string]struct {
		rate    float64
		elapsed time.Duration
		due     uint64
	}{
		"first slot at once": {10, 0, 1},
		"before the second":  {10, 99 * time.Millisecond, 1},
		"the second":         {10, 100 * time.Millisecond, 2},
		"a second":           {1000, time.Second, 1001},
		"slow":               {0.5, 3 * time.Second, 2},
		"not started":        {10, -1, 0},
		"without limit":      {0, 0, math.MaxUint64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (Pacer{Rate: tt.rate}).Due(tt.elapsed); got != tt.due {
				t.Errorf("due %d, want %d", got, tt.due)
			}
		})
	}
}

// At and Due are two views of one schedule, and the schedule keeps its rate.
func TestPacerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Pacer{Rate: rapid.Float64Range(0.01, 1e6).Draw(t, "rate")}
		elapsed := time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "elapsed"))
		n := p.Due(elapsed)
		if n == 0 || p.At(n-1) > elapsed || p.At(n) <= elapsed {
			t.Fatalf("due %d at %v, but the last is at %v and the next at %v", n, elapsed, p.At(n-1), p.At(n))
		}
		if want := elapsed.Seconds() * p.Rate; math.Abs(float64(n)-1-want) > 1 {
			t.Fatalf("%d slots by %v, want %.1f", n, elapsed, want)
		}
	})
}
