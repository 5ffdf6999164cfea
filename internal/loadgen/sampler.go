package loadgen

import (
	"runtime"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// sampleEvery is the series' step.
const sampleEvery = time.Second

// sampler takes a sample of the run in every step on its own goroutine, which
// halt stops and awaits.
type sampler struct {
	// Immutable
	run      *run
	progress func(result.Sample)
	interval func(result.Interval)
	stop     chan struct{} // closed by halt
	done     chan struct{} // closed by the goroutine

	// Owned by the goroutine, read after done
	series []result.Sample
	before result.Sample
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
	snap, err := r.clients.collect()
	if err != nil {
		return // a loop has failed; the scenario says so
	}
	now := r.effort(&snap)
	spent := now.since(s.last)
	step := spent.Seconds
	c := &snap.Counters
	x := result.Sample{
		Seconds:   now.at.Sub(r.began).Seconds(),
		Phase:     r.phase.Load().(result.Phase),
		PhaseEnds: float64(r.phaseEnds.Load()) / 1e9,
		Settled:   c.Settled(),
		Open:      c.Open,
		Ready:     c.Ready,
		Failed:    c.Failed,
		Lost:      c.Lost,
		Away:      c.Away,
		Published: r.published.Load(),
		Delivered: c.Delivered,
		Expected:  r.expected.Load(),
		Due:       s.takeLatencies(now.at),
		Reasons:   account.Merged(snap.Tallies[:account.SlowLosses]...),
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
func (s *sampler) takeLatencies(now time.Time) account.Latency {
	return s.run.clients.takeRecent(func(l *account.Recorder) {
		if s.interval != nil {
			s.interval(result.Interval{Start: s.last.at, End: now, Latencies: l})
		}
	})
}

// halt ends the sampling and returns the series. Latencies recorded after the
// last sample are handed out as the last interval.
func (s *sampler) halt() []result.Sample {
	close(s.stop)
	<-s.done
	if _, err := s.run.clients.collect(); err == nil {
		s.takeLatencies(time.Now())
	}
	return s.series
}

// effort is the CPU time of this process up to one moment.
type effort struct {
	at   time.Time
	cpu  time.Duration
	busy []time.Duration // per loop
	cpus int             // of the hosts that the clients are on
}

func (r *run) effort(s *client.Snapshot) effort {
	return effort{at: time.Now(), cpu: probe.OwnCPU() + s.CPU, busy: s.Busy, cpus: r.clients.CPUs()}
}

// moment is where a run is; the difference of two is the account of a part of it.
type moment struct {
	effort
	clients client.Snapshot
	server  *probe.ProcessSample // nil: not read
}

func (r *run) moment() moment {
	snap, err := r.clients.collect()
	m := moment{clients: snap, server: r.sampleServer()}
	if err != nil {
		m.effort = effort{at: time.Now(), cpu: probe.OwnCPU()} // of this process alone
		return m
	}
	m.effort = r.effort(&snap)
	return m
}

// counted is the events since an earlier moment.
func (m moment) counted(from moment) account.Counters {
	c := m.clients.Counters
	c.Subtract(&from.clients.Counters)
	return c
}

// serverCPU is the server's CPU time since an earlier moment, in seconds; false: not known.
func (m moment) serverCPU(from moment) (seconds float64, known bool) {
	return m.server.CPUSince(from.server)
}

func (to effort) since(from effort) result.Effort {
	wall := to.at.Sub(from.at)
	if wall <= 0 {
		return result.Effort{}
	}
	e := result.Effort{Seconds: wall.Seconds(), CPU: (to.cpu - from.cpu).Seconds()}
	reach := min(len(to.busy)+1, max(to.cpus, runtime.GOMAXPROCS(0)))
	e.Share = e.CPU / e.Seconds / float64(reach)
	for i := range to.busy {
		before := time.Duration(0)
		if i < len(from.busy) {
			before = from.busy[i]
		}
		e.Busy = max(e.Busy, (to.busy[i]-before).Seconds()/e.Seconds)
	}
	e.Bound = e.Share > result.ClientBound || e.Busy > result.ClientBound
	return e
}
