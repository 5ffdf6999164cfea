package loadgen

import (
	"context"
	"errors"
)

// Churn is what steady connects and disconnects cost.
type Churn struct {
	Clients   int     `json:"clients"` // that take turns
	Rate      float64 `json:"rate"`    // cycles per second asked for
	Seconds   float64 `json:"seconds"`
	Slots     uint64  `json:"slots"`   // cycles that were due
	Cycles    uint64  `json:"cycles"`  // closed and ready again
	Skipped   uint64  `json:"skipped"` // slots without a client to close, or over --max-late
	Late      uint64  `json:"late"`    // begun more than 5 ms after they were due
	Failed    uint64  `json:"failed"`  // did not come back
	PerSecond float64 `json:"per_second"`

	// Handshake counts from the connect, HandshakeDue from when the pace
	// wanted the old connection closed.
	Handshake    Latency `json:"handshake"`
	HandshakeDue Latency `json:"handshake_from_due"`
	Ready        Latency `json:"ready"`

	CPUPerCycle float64        `json:"server_cpu_per_cycle_us"` // only without messages, which cost too
	Before      *ProcessSample `json:"server_before,omitempty"`
	After       *ProcessSample `json:"server_after,omitempty"` // with as many clients
	Effort      Effort         `json:"effort"`
}

// RunChurn connects the clients, then closes and opens a share of them again
// at a steady rate. Its error is a run that could not begin.
func RunChurn(ctx context.Context, c Config, o Options) (*Result, error) {
	return withPublisher(ctx, c, func(p publisher) (*Result, error) { return churn(ctx, c, o, p) })
}

func (c Config) checkChurn() error {
	var u usage
	if c.Share <= 0 {
		u.add("--share", c.Share, "nobody would move; want a part of the clients up to 1")
	}
	if c.ChurnRate <= 0 {
		u.add("--churn-rate", c.ChurnRate, "want more than 0 cycles a second")
	}
	if c.Rate > 0 && c.Share == 1 {
		u.add("--share", c.Share, "with all clients moving nobody is left to account for messages: want less than 1, or --rate 0")
	}
	return errors.Join(u...)
}

func churn(ctx context.Context, c Config, o Options, p publisher) (*Result, error) {
	if err := c.checkChurn(); err != nil {
		return nil, err
	}
	c.Timed = true
	r, err := newRun(ctx, "churn", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		r.during(ctx, p, load{during: r.churn})
		r.judgeChurn()
	}
	return r.finish(), nil
}

// churn moves clients for the run's duration and waits until all are back.
func (r *run) churn(ctx context.Context) {
	x := &Churn{Clients: r.plan.cast.movers, Rate: r.plan.ChurnRate}
	r.result.Churn = x
	from, serverFrom := r.effort(), r.sampleServer()
	before, _ := r.engine.collect()
	up := r.engine.totals().moversUp
	if r.phase.Load() == PhaseHold {
		r.enter(PhaseChurn)
	}
	done := r.engine.pacing()
	defer done()
	r.note("starting the churn", r.engine.startChurn(x.Rate))
	r.note("churning", r.rest(ctx, r.plan.Duration))
	r.note("ending the churn", r.engine.stopChurn())
	if ctx.Err() == nil {
		// Those that failed to come back stay away.
		limit, cancel := context.WithTimeout(ctx, r.plan.Timeout)
		err := r.engine.wait(limit, r.plan.Timeout, func(t totals) bool { return t.leaving == 0 && t.moversUp >= up })
		cancel()
		if !errors.Is(err, errQuiet) && !errors.Is(err, context.DeadlineExceeded) {
			r.note("waiting for the last to come back", err)
		}
	}
	x.Effort = r.effort().since(from)
	x.Seconds = r.plan.Duration.Seconds()
	after, _ := r.engine.collect()
	c := after.Counters
	c.subtract(&before.Counters)
	x.Slots, x.Cycles, x.Skipped, x.Late, x.Failed = c.Churned+c.SkippedConnects, c.Returned, c.SkippedConnects, c.LateConnects, c.Failed+c.Retried
	x.PerSecond = perSecond(float64(x.Cycles), x.Effort.Seconds)
	x.Before, x.After = serverFrom, r.sampleServer()
	if cpu, ok := x.After.CPUSince(x.Before); ok && x.Cycles > 0 && r.plan.Rate == 0 {
		x.CPUPerCycle = cpu / float64(x.Cycles) * 1e6
	}
}

// judgeChurn completes the figures with the latencies, which the window has.
func (r *run) judgeChurn() {
	x := r.result.Churn
	if x == nil {
		return
	}
	x.Handshake, x.HandshakeDue, x.Ready = r.phaseLatency.handshake, r.phaseLatency.paced, r.phaseLatency.ready
	if x.Failed > 0 {
		r.fail("%d connects of the churn failed", x.Failed)
		if snap, err := r.engine.collect(); err == nil {
			r.hints(snap.Failures, snap.Retries)
		}
	}
	if x.Skipped > 0 {
		r.fail("%d of %d cycles were skipped: no client was there to be closed, so the churn was less than asked; more clients (-n, --share) or a lower --churn-rate", x.Skipped, x.Slots)
	}
	r.warnLate("of the churn ", x.Late)
	if x.Effort.Bound && x.Seconds > 0.5 {
		r.warn("CLIENT-BOUND while churning: loadgen was at its own limit; the server can do better than these figures say")
	}
}
