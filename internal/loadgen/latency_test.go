package loadgen

import (
	"math"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	h := newHistogram()
	if got := summarize(h); got != (Latency{}) {
		t.Errorf("nothing recorded: %+v", got)
	}
	for ms := int64(1); ms <= 1000; ms++ {
		record(h, ms*int64(time.Millisecond))
	}
	got := summarize(h)
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
	h := newHistogram()
	record(h, -5)
	record(h, math.MaxInt64)
	if got := summarize(h); got.Count != 2 || got.Max < latencyHighest {
		t.Errorf("got %+v", got)
	}
}

func TestRecorderDrain(t *testing.T) {
	a, sum := newRecorder(), newRecorder()
	record(a[ofDelivery], 1000)
	a.drain(&sum)
	record(a[ofDelivery], 3000)
	record(a[ofHandshake], 1)
	a.drain(&sum)
	if sum[ofDelivery].TotalCount() != 2 || sum[ofHandshake].TotalCount() != 1 || a[ofDelivery].TotalCount() != 0 {
		t.Errorf("sum %d and %d, left %d", sum[ofDelivery].TotalCount(), sum[ofHandshake].TotalCount(), a[ofDelivery].TotalCount())
	}
}
