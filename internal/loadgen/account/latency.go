package account

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded in nanoseconds from 100 ns to an hour with three
// significant digits; values outside count at the edge.
const (
	latencyLowest  = 100
	LatencyHighest = int64(time.Hour)
	latencyDigits  = 3
)

// NewHistogram returns one for latencies in ns.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(latencyLowest, LatencyHighest, latencyDigits)
}

// Record adds one value.
func Record(h *hdrhistogram.Histogram, ns int64) {
	// In range by the bounds, so there is no error to see.
	_ = h.RecordValue(min(max(ns, 0), LatencyHighest))
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

// Summarize returns the percentiles of a histogram.
func Summarize(h *hdrhistogram.Histogram) Latency {
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

// The latencies that clients record.
const (
	OfHandshake    = iota // connect to the complete answer
	OfHandshakeDue        // the same from the intended time of the connect
	OfReady               // connect to the last subscription confirmed
	OfDelivery            // intended send time to receipt
	OfSent                // real send time to receipt
	latencyKinds
)

// LatencyNames are the names of the latencies, in figures and files.
var LatencyNames = [latencyKinds]string{"handshake", "handshake_due", "ready", "delivery", "delivery_sent"}

// Recorder is one loop's histograms, or the sum of several loops'.
type Recorder [latencyKinds]*hdrhistogram.Histogram

// NewRecorder returns empty histograms.
func NewRecorder() (r Recorder) {
	for i := range r {
		r[i] = NewHistogram()
	}
	return r
}

// Latencies are the summaries of a recorder.
type Latencies [latencyKinds]Latency

// Summary returns the percentiles of all.
func (r *Recorder) Summary() (l Latencies) {
	for i, h := range r {
		l[i] = Summarize(h)
	}
	return l
}

// CopyTo adds everything to another recorder.
func (r *Recorder) CopyTo(into *Recorder) {
	for i, h := range r {
		if h.TotalCount() > 0 {
			into[i].Merge(h)
		}
	}
}

// Drain moves everything into another recorder.
func (r *Recorder) Drain(into *Recorder) {
	r.CopyTo(into)
	r.Reset()
}

// Reset forgets everything.
func (r *Recorder) Reset() {
	for _, h := range r {
		if h.TotalCount() > 0 {
			h.Reset()
		}
	}
}

// MarshalJSON writes a text for each histogram, without loss; an empty one where
// it has no values.
func (r Recorder) MarshalJSON() ([]byte, error) {
	var texts [latencyKinds][]byte
	for i, h := range r {
		if h.TotalCount() == 0 {
			continue
		}
		var err error
		if texts[i], err = h.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err != nil {
			return nil, fmt.Errorf("encode a histogram: %w", err)
		}
	}
	return json.Marshal(texts)
}

// UnmarshalJSON reads the texts of MarshalJSON.
func (r *Recorder) UnmarshalJSON(text []byte) error {
	var texts [latencyKinds][]byte
	if err := json.Unmarshal(text, &texts); err != nil {
		return err
	}
	*r = NewRecorder()
	for i, t := range texts {
		if len(t) == 0 {
			continue
		}
		h, err := hdrhistogram.Decode(t)
		if err != nil {
			return fmt.Errorf("decode a histogram: %w", err)
		}
		if dropped := r[i].Merge(h); dropped > 0 {
			return fmt.Errorf("decode a histogram: %d values out of range", dropped)
		}
	}
	return nil
}
