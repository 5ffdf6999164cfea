package loadgen

import (
	"context"
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
)

// Slow is what clients that don't keep up do to the others.
type Slow struct {
	Clients int `json:"clients"`          // that read too little
	Read    int `json:"bytes_per_second"` // that each of them reads

	Baseline *Sent `json:"baseline,omitempty"` // the healthy clients' messages, with all reading
	Loaded   *Sent `json:"loaded"`             // with the slow ones
	// P99Ratio is the healthy clients' p99 with the slow ones over that
	// without.
	P99Ratio float64 `json:"p99_ratio"`

	Ended  uint64 `json:"ended"`  // slow clients that the server closed
	Closes tally  `json:"closes"` // by reason

	Before *probe.ProcessSample `json:"server_before,omitempty"` // after the baseline
	After  *probe.ProcessSample `json:"server_after,omitempty"`  // with the slow clients stuck
	// The most that was seen meanwhile: of the server, and of TCP buffers on
	// this host.
	PeakRSS uint64 `json:"peak_rss_bytes"`
	PeakTCP uint64 `json:"peak_tcp_memory_bytes"`
	// Memory is what the server grew by to its peak, for each slow client.
	Memory float64 `json:"rss_per_slow_client_bytes"`

	from, to float64 // seconds of the run
}

// RunSlow publishes twice: while all clients read, and while a share of them
// reads little or nothing. Its error is a run that could not begin.
func RunSlow(ctx context.Context, c Config, o Options) (*Result, error) {
	if err := checkSlow(c); err != nil {
		return nil, err
	}
	return withPublisher(ctx, c, func(p publisher) (*Result, error) { return slowRun(ctx, c, o, p) })
}

func checkSlow(c Config) error {
	var u usage
	if c.SlowShare <= 0 || c.SlowShare >= 1 {
		u.add("--slow-share", c.SlowShare, "not allowed, want more than 0 and less than 1")
	}
	if c.Rate <= 0 {
		u.add("--rate", c.Rate, "without messages nobody falls behind; want more than 0")
	}
	return errors.Join(u...)
}

func slowRun(ctx context.Context, c Config, o Options, p publisher) (*Result, error) {
	c.Timed = true
	r, err := newRun(ctx, "slow", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		rest := load{during: func(ctx context.Context) { r.holdFor(ctx, r.plan.Duration) }}
		x := &Slow{Clients: r.plan.cast.slow, Read: r.plan.SlowRead}
		x.Baseline = r.window(ctx, p, rest)
		if x.Baseline != nil && ctx.Err() == nil {
			r.result.Slow = x
			r.slowed(ctx, x, func() { x.Loaded = r.window(ctx, p, rest) })
			r.result.Fanout = x.Loaded
		}
	}
	return r.finish(), nil
}

// slowed has the slow clients stop reading while loaded runs, and books what
// became of them.
func (r *run) slowed(ctx context.Context, x *Slow, loaded func()) {
	before := r.sampleServer()
	x.from = time.Since(r.began).Seconds()
	r.note("slowing down", r.clients.do(order{Do: doSlow, On: true}))
	loaded()
	x.to = time.Since(r.began).Seconds()
	x.Before, x.After = before, r.sampleServer()
	if ctx.Err() == nil {
		// What the server said at the end stands behind what they did not read.
		r.note("reading what was left", r.clients.do(order{Do: doSlow}))
		r.note("reading what was left", r.clients.sleep(ctx, r.plan.Settle, nil))
	}
	if snap, err := r.clients.collect(); err == nil {
		x.Closes, x.Ended = snap.Tallies[tallySlowLosses], snap.Counters.SlowLost
	}
	if x.Baseline != nil && x.Loaded != nil && x.Baseline.Due.P99 > 0 {
		x.P99Ratio = float64(x.Loaded.Due.P99) / float64(x.Baseline.Due.P99)
	}
}

// peak finds the most memory in use while the slow clients were.
func (x *Slow) peak(series []Sample) {
	if x.After != nil {
		x.PeakRSS = x.After.RSS
	}
	for _, s := range series {
		if s.Seconds < x.from || s.Seconds > x.to {
			continue
		}
		if s.Server != nil {
			x.PeakRSS = max(x.PeakRSS, s.Server.RSS)
		}
		if s.Kernel != nil {
			x.PeakTCP = max(x.PeakTCP, s.Kernel.TCPMemory)
		}
	}
	// Without a baseline the growth is that of everything else as well.
	if x.Before != nil && x.Baseline != nil && x.Clients > 0 {
		x.Memory = (float64(x.PeakRSS) - float64(x.Before.RSS)) / float64(x.Clients)
	}
}
