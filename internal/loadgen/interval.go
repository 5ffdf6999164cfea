package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Names of the latencies of an Interval.
const (
	LatencyHandshake = "handshake"     // connect to the complete answer
	LatencyPaced     = "handshake_due" // the same from the intended time of the connect
	LatencyReady     = "ready"         // connect to the last subscription confirmed
	LatencyDelivery  = "delivery"      // intended send time to receipt
	LatencySent      = "delivery_sent" // real send time to receipt
)

// Interval is what was recorded in one step of the series. The intervals of a
// run together hold every value once, so merging them is lossless.
type Interval struct {
	Start, End time.Time
	// Latencies holds those of the names above that have values, in ns. The
	// histograms are the run's own: they are valid during the call only.
	Latencies map[string]*hdrhistogram.Histogram
}
