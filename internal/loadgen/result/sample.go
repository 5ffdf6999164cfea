package result

import (
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/probe"
)

// Sample is one second of a run.
type Sample struct {
	Seconds float64 `json:"seconds"` // since the run began
	Phase   Phase   `json:"phase"`
	// PhaseEnds is when the phase will have lasted as long as it is to, in
	// seconds of the run; 0 where that depends on the server.
	PhaseEnds float64 `json:"phase_ends_seconds,omitempty"`

	Settled   uint64 `json:"settled"` // clients that are ready or failed
	Open      uint64 `json:"open"`
	Ready     uint64 `json:"ready"`
	Failed    uint64 `json:"failed"`
	Lost      uint64 `json:"lost"`
	Away      uint64 `json:"away,omitempty"` // cut at a proxy and not back
	Published uint64 `json:"published"`
	Delivered uint64 `json:"delivered"`
	Expected  uint64 `json:"expected"` // by the messages published up to now

	// Since the sample before.
	ReadyPS     float64         `json:"ready_per_second"`
	DeliveredPS float64         `json:"delivered_per_second"`
	Due         account.Latency `json:"latency_from_due"`
	SelfCPU     float64         `json:"self_cpu"`  // CPUs in use
	LoopBusy    float64         `json:"loop_busy"` // of the busiest loop
	ServerCPU   float64         `json:"server_cpu"`

	Server  *probe.ProcessSample `json:"server,omitempty"`
	Metrics *MetricsSample       `json:"metrics,omitempty"` // with --admin
	Kernel  *probe.KernelSample  `json:"kernel,omitempty"`
	HostCPU float64              `json:"host_cpu"` // share of all CPUs in use, by all programs
	// RSSPerConnection is the growth of the server's memory since the run
	// began, for each open client.
	RSSPerConnection float64 `json:"rss_per_connection_bytes"`
	// Reasons counts failures, losses, errors, ends at a proxy and clients asked to retry later
	// up to now, by their reason.
	Reasons account.Tally `json:"reasons,omitempty"`
}

// Phase is a part of a run.
type Phase string

const (
	PhaseConnect Phase = "connect"
	PhaseHold    Phase = "hold"
	PhasePublish Phase = "publish"
	PhaseWait    Phase = "wait"
	PhaseStorm   Phase = "storm"
	PhaseChurn   Phase = "churn"
	PhaseLeave   Phase = "leave"
)

// Interval is the latencies of one step of the series. The intervals of a
// run together hold every value once, so merging them is lossless.
type Interval struct {
	Start, End time.Time
	// Latencies are in ns, and the run's own: they are valid during the call only.
	Latencies *account.Recorder
}

// MetricsSample is a gateway's own metrics.
type MetricsSample struct {
	Heap       uint64  `json:"heap_bytes"` // objects, reachable or not yet collected
	HeapInUse  uint64  `json:"heap_in_use_bytes"`
	GCPauses   float64 `json:"gc_pause_seconds"` // since it started
	Goroutines int     `json:"goroutines"`
	// Values holds the gateway's own counters and gauges, summed over their
	// labels.
	Values map[string]float64 `json:"values"`
}
