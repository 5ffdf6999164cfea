package account

import (
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSummarize(t *testing.T) {
	h := NewHistogram()
	if got := Summarize(h); got != (Latency{}) {
		t.Errorf("nothing recorded: %+v", got)
	}
	for ms := int64(1); ms <= 1000; ms++ {
		Record(h, ms*int64(time.Millisecond))
	}
	got := Summarize(h)
	for name, v := range map[string]struct {
		got  int64
		want float64
	}{
		"min": {got.Min, 1}, "p50": {got.P50, 500}, "p90": {got.P90, 900},
		"p99": {got.P99, 990}, "p99.9": {got.P999, 999}, "max": {got.Max, 1000},
		"mean": {int64(got.Mean), 500.5},
	} {
		if ms := float64(v.got) / 1e6; math.Abs(ms-v.want) > v.want/500 {
			t.Errorf("%s is %.3f ms, want %.1f", name, ms, v.want)
		}
	}
	if got.Count != 1000 {
		t.Errorf("count %d", got.Count)
	}
}

// A clock that runs backwards or an absurd stamp is counted, not lost.
func TestRecordEdges(t *testing.T) {
	h := NewHistogram()
	Record(h, -5)
	Record(h, math.MaxInt64)
	if got := Summarize(h); got.Count != 2 || got.Max < LatencyHighest {
		t.Errorf("got %+v", got)
	}
}

func TestRecorderDrain(t *testing.T) {
	a, sum := NewRecorder(), NewRecorder()
	Record(a[OfDelivery], 1000)
	a.Drain(&sum)
	Record(a[OfDelivery], 3000)
	Record(a[OfHandshake], 1)
	a.Drain(&sum)
	if sum[OfDelivery].TotalCount() != 2 || sum[OfHandshake].TotalCount() != 1 || a[OfDelivery].TotalCount() != 0 {
		t.Errorf("sum %d and %d, left %d", sum[OfDelivery].TotalCount(), sum[OfHandshake].TotalCount(), a[OfDelivery].TotalCount())
	}
}

// Merged histograms are the histogram of all values.
func TestMergeLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOf(rapid.Int64Range(0, LatencyHighest)), 1, 4).Draw(t, "parts")
		whole, merged := NewRecorder(), NewRecorder()
		for _, values := range parts {
			part := NewRecorder()
			for _, v := range values {
				Record(whole[OfDelivery], v)
				Record(part[OfDelivery], v)
			}
			part.Drain(&merged)
		}
		if !whole[OfDelivery].Equals(merged[OfDelivery]) || Summarize(whole[OfDelivery]) != Summarize(merged[OfDelivery]) {
			t.Fatalf("%v: whole %+v, merged %+v", parts, Summarize(whole[OfDelivery]), Summarize(merged[OfDelivery]))
		}
	})
}

// Every counter is summed up and subtracted.
func TestCountersSum(t *testing.T) {
	var c, before Counters
	v := reflect.ValueOf(&before).Elem()
	for i := range v.NumField() {
		v.Field(i).SetUint(uint64(i + 1))
	}
	c.Add(&before)
	c.Add(&before)
	if c.Subtract(&before); c != before {
		t.Errorf("twice %+v less once is %+v", before, c)
	}
}
