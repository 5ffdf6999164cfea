package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded in nanoseconds from 100 ns to an hour with three
// significant digits; what is outside counts at the edge.
const (
	latencyLowest  = 100
	latencyHighest = int64(time.Hour)
	latencyDigits  = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(latencyLowest, latencyHighest, latencyDigits)
}

// record adds one value.
func record(h *hdrhistogram.Histogram, ns int64) {
	// In range by the bounds, so there is no error to see.
	_ = h.RecordValue(min(max(ns, 0), latencyHighest))
}

// Latency summarizes a histogram, in nanoseconds.
type Latency struct {
	Count int64   `json:"count"`
	Min   int64   `json:"min_ns"`
	Mean  float64 `json:"mean_ns"`
	P50   int64   `json:"p50_ns"`
	P90   int64   `json:"p90_ns"`
	P99   int64   `json:"p99_ns"`
	P999  int64   `json:"p999_ns"`
	Max   int64   `json:"max_ns"`
}

func summarize(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	return Latency{
		Count: h.TotalCount(),
		Min:   h.Min(),
		Mean:  h.Mean(),
		P50:   h.ValueAtPercentile(50),
		P90:   h.ValueAtPercentile(90),
		P99:   h.ValueAtPercentile(99),
		P999:  h.ValueAtPercentile(99.9),
		Max:   h.Max(),
	}
}

// The latencies that clients record, and their names in an Interval.
const (
	ofHandshake    = iota // connect to the complete answer
	ofHandshakeDue        // the same from the intended time of the connect
	ofReady               // connect to the last subscription confirmed
	ofDelivery            // intended send time to receipt
	ofSent                // real send time to receipt
	latencyKinds
)

var latencyNames = [latencyKinds]string{LatencyHandshake, LatencyPaced, LatencyReady, LatencyDelivery, LatencySent}

// recorder is one loop's histograms, or the sum of several loops'.
type recorder [latencyKinds]*hdrhistogram.Histogram

func newRecorder() (r recorder) {
	for i := range r {
		r[i] = newHistogram()
	}
	return r
}

// latencies summarizes a recorder.
type latencies [latencyKinds]Latency

func (r *recorder) summary() (l latencies) {
	for i, h := range r {
		l[i] = summarize(h)
	}
	return l
}

// copyTo adds everything to another recorder.
func (r *recorder) copyTo(into *recorder) {
	for i, h := range r {
		if h.TotalCount() > 0 {
			into[i].Merge(h)
		}
	}
}

// drain moves everything into another recorder.
func (r *recorder) drain(into *recorder) {
	r.copyTo(into)
	r.reset()
}

func (r *recorder) reset() {
	for _, h := range r {
		if h.TotalCount() > 0 {
			h.Reset()
		}
	}
}
