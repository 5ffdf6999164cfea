package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

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
	Expected  uint64 `json:"expected"` // by what was published up to now

	// Since the sample before.
	ReadyPS     float64 `json:"ready_per_second"`
	DeliveredPS float64 `json:"delivered_per_second"`
	Due         Latency `json:"latency_from_due"`
	SelfCPU     float64 `json:"self_cpu"`  // CPUs in use
	LoopBusy    float64 `json:"loop_busy"` // of the busiest loop
	ServerCPU   float64 `json:"server_cpu"`

	Server  *ProcessSample `json:"server,omitempty"`
	Metrics *MetricsSample `json:"metrics,omitempty"` // with --admin
	Kernel  *KernelSample  `json:"kernel,omitempty"`
	HostCPU float64        `json:"host_cpu"` // share of all CPUs in use, by all programs
	// RSSPerConnection is what the server's memory has grown by since the run
	// began, for each open client.
	RSSPerConnection float64 `json:"rss_per_connection_bytes"`
	// Reasons counts failures, losses, errors, ends at a proxy and what was told to
	// come later up to now, by their reason.
	Reasons map[Reason]uint64 `json:"reasons,omitempty"`
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

// sampleEvery is the series' step.
const sampleEvery = time.Second

// sampler takes a sample of the run in every step on its own goroutine, which
// halt stops and awaits.
type sampler struct {
	// Immutable
	run      *run
	progress func(Sample)
	interval func(Interval)
	stop     chan struct{} // closed by halt
	done     chan struct{} // closed by the goroutine

	// Owned by the goroutine, read after done
	series []Sample
	before Sample
	last   effort
	// kernelCPU is the host's CPU time at the last sample.
	kernelCPU float64
}

func newSampler(r *run, o Options) *sampler {
	s := &sampler{run: r, progress: o.Progress, interval: o.Interval, stop: make(chan struct{}), done: make(chan struct{}), last: effort{at: r.began, cpu: probe.OwnCPU()}}
	s.before.Server = r.atStart
	if r.kernel != nil {
		k, _ := r.kernel.Sample()
		s.kernelCPU = k.CPU
	}
	go s.loop()
	return s
}

func (s *sampler) loop() {
	defer close(s.done)
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.take()
		}
	}
}

// take adds one sample.
func (s *sampler) take() {
	r := s.run
	snap, err := r.engine.collect()
	if err != nil {
		return // a loop has failed; the scenario says so
	}
	now := effort{at: time.Now(), cpu: probe.OwnCPU() + snap.CPU, busy: snap.Busy, cpus: r.engine.cpus()}
	spent := now.since(s.last)
	step := spent.Seconds
	c := &snap.Counters
	x := Sample{
		Seconds:   now.at.Sub(r.began).Seconds(),
		Phase:     r.phase.Load().(Phase),
		PhaseEnds: float64(r.phaseEnds.Load()) / 1e9,
		Settled:   c.settled(),
		Open:      c.Open,
		Ready:     c.Ready,
		Failed:    c.Failed,
		Lost:      c.Lost,
		Away:      c.Away,
		Published: r.published.Load(),
		Delivered: c.Delivered,
		Expected:  r.expected.Load(),
		Due:       s.takeLatencies(now.at),
		Reasons:   snap.reasons(),
		SelfCPU:   spent.CPU / step,
		LoopBusy:  spent.Busy,
	}
	x.ReadyPS = float64(x.Ready-s.before.Ready) / step
	x.DeliveredPS = float64(x.Delivered-s.before.Delivered) / step
	if r.watch != nil {
		if p, err := r.watch.sample(); err == nil {
			x.Server = &p
			if x.Open > 0 && r.atStart != nil {
				x.RSSPerConnection = (float64(p.RSS) - float64(r.atStart.RSS)) / float64(x.Open)
			}
			if cpu, ok := p.CPUSince(s.before.Server); ok {
				x.ServerCPU = cpu / step
			}
		}
	}
	if m, err := r.sampleMetrics(); err == nil {
		x.Metrics = m
	}
	if r.kernel != nil {
		if k, err := r.kernel.Sample(); err == nil {
			x.Kernel = &k
			x.HostCPU = (k.CPU - s.kernelCPU) / step / float64(r.result.Host.CPUs)
			s.kernelCPU = k.CPU
		}
	}
	s.before, s.last = x, now
	s.series = append(s.series, x)
	if s.progress != nil {
		s.progress(x)
	}
}

// takeLatencies hands out the interval that ends now.
func (s *sampler) takeLatencies(now time.Time) Latency {
	if s.interval == nil {
		return s.run.engine.takeRecent(nil)
	}
	return s.run.engine.takeRecent(func(named map[string]*hdrhistogram.Histogram) {
		s.interval(Interval{Start: s.last.at, End: now, Latencies: named})
	})
}

// reasons merges what went wrong with clients; nil when nothing did.
func (s *snapshot) reasons() map[Reason]uint64 {
	all := merged(s.Failures, s.Retries, s.Losses, s.Errors, s.Cuts, s.Deferrals)
	if len(all) == 0 {
		return nil
	}
	return all
}

// halt ends the sampling and returns the series. What was recorded after the
// last sample is handed out as the last interval.
func (s *sampler) halt() []Sample {
	close(s.stop)
	<-s.done
	if _, err := s.run.engine.collect(); err == nil {
		s.takeLatencies(time.Now())
	}
	return s.series
}
