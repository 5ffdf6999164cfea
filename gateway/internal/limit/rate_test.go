package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A bucket and an allowance are held against a plain token bucket that is
// filled by the clock.
func TestRateEqualsTokenBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 5, 10, 50, 100, 1000}).Draw(t, "per second") // grains divide their intervals
		burst := rapid.IntRange(1, 30).Draw(t, "burst")
		r := PerSecond(n, burst)
		var (
			b      Bucket
			a      Allowance
			now    = time.Duration(rapid.Int64Range(0, int64(200*time.Hour/grain)).Draw(t, "start")) * grain
			tokens = time.Duration(burst) * r.interval // in refill time
		)
		most := tokens
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			passed := time.Duration(rapid.Int64Range(0, int64(2*r.interval/grain)).Draw(t, "grains")) * grain
			now += passed
			tokens = min(most, tokens+passed)
			full := tokens == most
			want := tokens >= r.interval
			if want {
				tokens -= r.interval
			}
			if got := b.Take(r, now); got != want {
				t.Fatalf("bucket: %v, want %v", got, want)
			}
			got, rested := a.Take(r, now)
			if got != want || rested != full {
				t.Fatalf("allowance: %v, %v, want %v, %v", got, rested, want, full)
			}
		}
	})
}

// A bucket that a slow rate has emptied is not held against a fast one.
func TestRateChanges(t *testing.T) {
	var b Bucket
	var a Allowance
	slow, fast := PerSecond(1, 1000), PerSecond(1000, 10)
	for range 1000 {
		if ok, _ := a.Take(slow, 0); !ok || !b.Take(slow, 0) {
			t.Fatal("the burst is cut")
		}
	}
	if ok, _ := a.Take(slow, 0); ok || b.Take(slow, 0) {
		t.Fatal("the burst is exceeded")
	}
	if ok, _ := a.Take(fast, 0); !ok || !b.Take(fast, 0) {
		t.Error("the new rate waits for the old one")
	}
}

// A client that was silent until its allowance wraps around has all of it.
func TestAllowanceGoesRound(t *testing.T) {
	r := PerSecond(10, 5)
	for _, silence := range []time.Duration{time.Hour, 59 * time.Hour, 60 * time.Hour, 100 * time.Hour, 118 * time.Hour} {
		var a Allowance
		for range 5 {
			a.Take(r, 0)
		}
		for i := range 5 {
			if ok, _ := a.Take(r, silence); !ok {
				t.Errorf("after %v: %d messages are too many", silence, i+1)
			}
		}
	}
}

func BenchmarkTakeBucket(b *testing.B) {
	r := PerSecond(1<<20, 0)
	var full Bucket
	begin := time.Now()
	for b.Loop() {
		full.Take(r, time.Since(begin))
	}
}
