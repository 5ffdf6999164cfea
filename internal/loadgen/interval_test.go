package loadgen

import (
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// TestIntervalsLoseNothing merges the intervals of a run and compares them
// with what the run itself says.
func TestIntervalsLoseNothing(t *testing.T) {
	s := newScripted()
	c := s.start(t, 5, 60)
	c.Rate = 50 // over a second: more than one interval
	merged := make(map[string]*hdrhistogram.Histogram)
	intervals := 0
	r, err := fanout(t.Context(), c, Options{Interval: func(i Interval) {
		intervals++
		if !i.End.After(i.Start) {
			t.Errorf("an interval from %v to %v", i.Start, i.End)
		}
		for name, h := range i.Latencies {
			if merged[name] == nil {
				merged[name] = newHistogram()
			}
			merged[name].Merge(h)
		}
	}}, s)
	if err != nil {
		t.Fatal(err)
	}
	if intervals < 2 {
		t.Errorf("%d intervals in %.1f s", intervals, r.Seconds)
	}
	for name, want := range map[string]Latency{
		LatencyHandshake: r.Connect.Handshake,
		LatencyReady:     r.Connect.Ready,
		LatencyDelivery:  r.Fanout.Due,
		LatencySent:      r.Fanout.Real,
	} {
		if h := merged[name]; h == nil || want.Count == 0 || summarize(h) != want {
			t.Errorf("%s: merged %v, the run says %+v", name, h, want)
		}
	}
}

func TestSampleReasons(t *testing.T) {
	s := snapshot{Tallies: tallies{tallyFailures: {ReasonRefused: 2}, tallyLosses: {ReasonReset: 1}, tallyErrors: {ReasonReset: 3}}}
	if got := reasons(&s); len(got) != 2 || got[ReasonRefused] != 2 || got[ReasonReset] != 4 {
		t.Errorf("got %v", got)
	}
	if got := reasons(new(snapshot)); got != nil {
		t.Errorf("nothing went wrong, got %v", got)
	}
}
