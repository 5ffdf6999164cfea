package result

import (
	"slices"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/probe"
)

// Step is the outcome of one stage.
type Step struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
	Clients int64   `json:"clients"` // ready at its end
	Failed  uint64  `json:"failed"`
	Lost    uint64  `json:"lost"`

	// Of a ramp.
	Changed   uint64  `json:"changed"` // connected or closed
	PerSecond float64 `json:"per_second"`
	Late      uint64  `json:"late"` // connects begun more than 5 ms after they were due
	// Handshake counts from the connect, HandshakeDue from when the pace
	// wanted it to begin.
	Handshake    account.Latency `json:"handshake"`
	HandshakeDue account.Latency `json:"handshake_from_due"`

	// Of a hold.
	Pings  uint64 `json:"pings"`
	Fanout *Sent  `json:"fanout,omitempty"` // where messages were published

	Effort Effort               `json:"effort"`
	Server *probe.ProcessSample `json:"server,omitempty"` // at its end
	CPU    float64              `json:"server_cpu_share"` // CPUs in use by the server
}

// Storm is the reconnect of clients that lost their connections all at once.
type Storm struct {
	Kind    string `json:"kind"`    // cut or restart
	Clients int64  `json:"clients"` // that had to reconnect

	// Of a restart: seconds from the signal.
	Stopped float64 `json:"stopped_seconds,omitempty"` // the process was gone
	Started float64 `json:"started_seconds,omitempty"` // the next one took connections

	// Seconds from the cut or the signal until so many were ready again, to
	// stay; -1 for never.
	Back50  float64 `json:"back_50_seconds"`
	Back95  float64 `json:"back_95_seconds"`
	Back100 float64 `json:"back_100_seconds"`

	Lost      uint64          `json:"lost"` // connections that the restart has ended
	Returned  uint64          `json:"returned"`
	Attempts  uint64          `json:"attempts"`
	Failed    uint64          `json:"failed_attempts"`
	PerSecond float64         `json:"returns_per_second"`
	Handshake account.Latency `json:"handshake"`
	Ready     account.Latency `json:"ready"`

	Resume      bool    `json:"resume"`
	Backoff     float64 `json:"backoff_seconds"`
	BackoffMost float64 `json:"backoff_max_seconds"`
}

// Never stands for the time of an event that did not happen.
const Never = -1

// Churn is the cost of steady connects and disconnects.
type Churn struct {
	Clients   int     `json:"clients"` // that take turns
	Rate      float64 `json:"rate"`    // cycles per second asked for
	Seconds   float64 `json:"seconds"`
	Slots     uint64  `json:"slots"`   // cycles that were due
	Cycles    uint64  `json:"cycles"`  // closed and ready again
	Skipped   uint64  `json:"skipped"` // slots without a client to close, or over --max-late
	Late      uint64  `json:"late"`    // begun more than 5 ms after they were due
	Failed    uint64  `json:"failed"`  // did not reconnect
	PerSecond float64 `json:"per_second"`

	// Handshake counts from the connect, HandshakeDue from when the pace
	// wanted the old connection closed.
	Handshake    account.Latency `json:"handshake"`
	HandshakeDue account.Latency `json:"handshake_from_due"`
	Ready        account.Latency `json:"ready"`

	CPUPerCycle float64              `json:"server_cpu_per_cycle_us"` // only without messages, which cost too
	Before      *probe.ProcessSample `json:"server_before,omitempty"`
	After       *probe.ProcessSample `json:"server_after,omitempty"` // with as many clients
	Effort      Effort               `json:"effort"`
}

// Slow is the effect of clients that don't keep up on the others.
type Slow struct {
	Clients int `json:"clients"`          // that read too little
	Read    int `json:"bytes_per_second"` // that each of them reads

	Baseline *Sent `json:"baseline,omitempty"` // the healthy clients' messages, with all reading
	Loaded   *Sent `json:"loaded"`             // with the slow ones
	// P99Ratio is the healthy clients' p99 with the slow ones over that
	// without.
	P99Ratio float64 `json:"p99_ratio"`

	Ended  uint64        `json:"ended"`  // slow clients that the server closed
	Closes account.Tally `json:"closes"` // by reason

	Before *probe.ProcessSample `json:"server_before,omitempty"` // after the baseline
	After  *probe.ProcessSample `json:"server_after,omitempty"`  // with the slow clients stuck
	// The most that was seen meanwhile: of the server, and of TCP buffers on
	// this host.
	PeakRSS uint64 `json:"peak_rss_bytes"`
	PeakTCP uint64 `json:"peak_tcp_memory_bytes"`
	// Memory is the server's growth to its peak, for each slow client.
	Memory float64 `json:"rss_per_slow_client_bytes"`

	From, To float64 `json:"-"` // seconds of the run
}

// Peak finds the most memory in use while the slow clients were.
func (x *Slow) Peak(series []Sample) {
	if x.After != nil {
		x.PeakRSS = x.After.RSS
	}
	for _, s := range series {
		if s.Seconds < x.From || s.Seconds > x.To {
			continue
		}
		if s.Server != nil {
			x.PeakRSS = max(x.PeakRSS, s.Server.RSS)
		}
		if s.Kernel != nil {
			x.PeakTCP = max(x.PeakTCP, s.Kernel.TCPMemory)
		}
	}
	// Without a baseline everything else is in the growth as well.
	if x.Before != nil && x.Baseline != nil && x.Clients > 0 {
		x.Memory = (float64(x.PeakRSS) - float64(x.Before.RSS)) / float64(x.Clients)
	}
}

// Agent is one process that held clients.
type Agent struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
	// Offset is how far its clock was ahead of this one's, to within half the quickest round
	// trip. It was taken off if it was more than that.
	Offset      float64 `json:"clock_offset_ms"`
	Uncertainty float64 `json:"clock_uncertainty_ms"`
	Corrected   bool    `json:"clock_corrected"`
	// Drift is by how much that changed until the end of the run.
	Drift float64 `json:"clock_drift_ms"`
}

// ClientBound is the share of its CPU from which on a run says more about the
// load generator than about the server.
const ClientBound = 0.9

// Effort is the CPU time of the load generator itself in a phase.
type Effort struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	// Share is CPU over the CPUs within reach: one for each loop and one for
	// publishing, no more than the host has.
	Share float64 `json:"cpu_share"`
	// Busy is the part of the time that the busiest loop was at work or kept
	// from it by others on the same CPUs.
	Busy float64 `json:"loop_busy"`
	// Bound says that one of the two was over 90 %.
	Bound bool `json:"client_bound"`
}

// Add joins the effort of another phase of the same kind.
func (e *Effort) Add(o Effort) {
	if all := e.Seconds + o.Seconds; all > 0 {
		e.Share = (e.Share*e.Seconds + o.Share*o.Seconds) / all
	}
	e.Seconds += o.Seconds
	e.CPU += o.CPU
	e.Busy = max(e.Busy, o.Busy)
	e.Bound = e.Bound || o.Bound
}

// PerConnection computes the costs from the samples: with the clients that are there at the
// end, or after stages with their highest number.
func (s *Server) PerConnection(res *Result, top uint64) {
	c := &res.Counters
	n, at, metrics := float64(c.Open), s.After, s.MetricsAfter
	if len(res.Steps) > 0 {
		n, at, metrics = float64(top), s.Connected, s.MetricsConnected
	}
	if n > 0 {
		s.RSSPerConnection = (float64(at.RSS) - float64(s.Before.RSS)) / n
		s.AnonPerConnection = (float64(at.Anon) - float64(s.Before.Anon)) / n
	}
	if n > 0 && s.MetricsBefore != nil && metrics != nil {
		s.HeapPerConnection = (float64(metrics.HeapInUse) - float64(s.MetricsBefore.HeapInUse)) / n
	}
	if n := float64(c.Established); n > 0 {
		s.CPUPerHandshake = (s.Connected.CPU - s.Before.CPU) / n * 1e6
	}
	i := slices.IndexFunc(res.Series, func(x Sample) bool {
		return x.Server != nil && x.Phase == PhaseConnect && x.Open >= uint64(res.Settings.Connections/2)
	})
	if i >= 0 && c.Open > res.Series[i].Open {
		s.RSSGrowth = (float64(s.After.RSS) - float64(res.Series[i].Server.RSS)) / float64(c.Open-res.Series[i].Open)
	}
}

// PerConnection computes the costs from the samples.
func (k *Kernel) PerConnection(at probe.KernelSample, open uint64) {
	if n := float64(open); n > 0 {
		k.SlabPerConnection = (float64(at.Slab) - float64(k.Before.Slab)) / n
		k.TCPPerConnection = (float64(at.TCPMemory) - float64(k.Before.TCPMemory)) / n
	}
}
