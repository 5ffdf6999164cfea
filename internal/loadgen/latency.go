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

// recorder is one loop's histograms, or the sum of several loops'.
type recorder struct {
	handshake *hdrhistogram.Histogram // connect to the complete answer
	paced     *hdrhistogram.Histogram // the same from the intended time of the connect
	ready     *hdrhistogram.Histogram // connect to the last subscription confirmed
	due       *hdrhistogram.Histogram // intended send time to receipt
	sent      *hdrhistogram.Histogram // real send time to receipt
}

func newRecorder() recorder {
	return recorder{newHistogram(), newHistogram(), newHistogram(), newHistogram(), newHistogram()}
}

// latencies summarizes a recorder.
type latencies struct{ handshake, paced, ready, due, sent Latency }

func (r *recorder) summary() latencies {
	return latencies{summarize(r.handshake), summarize(r.paced), summarize(r.ready), summarize(r.due), summarize(r.sent)}
}

// all lists the histograms in one order.
func (r *recorder) all() [5]*hdrhistogram.Histogram {
	return [...]*hdrhistogram.Histogram{r.handshake, r.paced, r.ready, r.due, r.sent}
}

// copyTo adds everything to another recorder.
func (r *recorder) copyTo(into *recorder) {
	to := into.all()
	for i, h := range r.all() {
		if h.TotalCount() > 0 {
			to[i].Merge(h)
		}
	}
}

// drain moves everything into another recorder.
func (r *recorder) drain(into *recorder) {
	r.copyTo(into)
	r.reset()
}

func (r *recorder) reset() {
	for _, h := range r.all() {
		if h.TotalCount() > 0 {
			h.Reset()
		}
	}
}
