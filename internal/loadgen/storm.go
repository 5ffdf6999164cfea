package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Storm is how clients came back that lost their connections all at once.
type Storm struct {
	Kind    string `json:"kind"`    // cut or restart
	Clients int64  `json:"clients"` // that had to come back

	// Of a restart: seconds from the signal.
	Stopped float64 `json:"stopped_seconds,omitempty"` // the process was gone
	Started float64 `json:"started_seconds,omitempty"` // the next one took connections

	// Seconds from the cut or the signal until so many were ready again, to
	// stay; -1 for never.
	Back50  float64 `json:"back_50_seconds"`
	Back95  float64 `json:"back_95_seconds"`
	Back100 float64 `json:"back_100_seconds"`

	Lost      uint64  `json:"lost"` // connections that the restart has ended
	Returned  uint64  `json:"returned"`
	Attempts  uint64  `json:"attempts"`
	Failed    uint64  `json:"failed_attempts"`
	PerSecond float64 `json:"returns_per_second"`
	Handshake Latency `json:"handshake"`
	Ready     Latency `json:"ready"`

	Resume      bool    `json:"resume"`
	Backoff     float64 `json:"backoff_seconds"`
	BackoffMost float64 `json:"backoff_max_seconds"`
}

// never stands for the time of what did not happen.
const never = -1

// RunStorm connects the clients, cuts a share of them or restarts the gateway,
// and sees how they come back while messages are published. Its error is a run
// that could not begin.
func RunStorm(ctx context.Context, c Config, o Options) (*Result, error) {
	return withPublisher(ctx, c, func(p publisher) (*Result, error) { return storm(ctx, c, o, p) })
}

// withPublisher runs a scenario with what publishes, or without where nothing is to be
// published.
func withPublisher(ctx context.Context, c Config, run func(publisher) (*Result, error)) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Rate == 0 {
		return run(nil)
	}
	p, err := newPublisher(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.close()
	return run(p)
}

// checkStorm refuses what no storm can be made of.
func (c Config) checkStorm() error {
	var u usage
	if c.ServerCmd == "" && !(c.Share > 0) {
		u.add("--share", c.Share, "nobody would be cut; want a part of the clients such as 0.5, or --server-cmd")
	}
	if c.Backoff <= 0 {
		u.add("--backoff", c.Backoff, "want more than 0: clients that come back without a pause between attempts are an attack")
	}
	return errors.Join(u...)
}

func storm(ctx context.Context, c Config, o Options, p publisher) (*Result, error) {
	if err := c.checkStorm(); err != nil {
		return nil, err
	}
	c.Timed = true
	var server *serverCommand
	if c.ServerCmd != "" {
		c.Share = 1
		var err error
		if server, err = launch(ctx, c); err != nil {
			return nil, err
		}
		defer server.Stop(stopGrace)
	}
	r, err := newRun(ctx, "storm", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		r.storm(ctx, p, server)
	}
	return r.finish(), nil
}

// storm has the clients lose their connections and come back.
func (r *run) storm(ctx context.Context, p publisher, server *serverCommand) {
	s := &Storm{Kind: "cut", Back50: never, Back95: never, Back100: never, Resume: r.plan.Resume,
		Backoff: r.plan.Backoff.Seconds(), BackoffMost: r.plan.BackoffMost.Seconds()}
	if server != nil {
		s.Kind = "restart"
	}
	r.result.Storm = s
	before, _ := r.engine.collect()
	r.during(ctx, p, load{movers: true, during: func(ctx context.Context) { r.disturb(ctx, s, server) }})
	after, _ := r.engine.collect()
	l := r.phaseLatency
	s.Handshake, s.Ready = l.handshake, l.ready
	d := after.Counters
	d.subtract(&before.Counters)
	s.Returned, s.Attempts, s.Failed = d.Returned, d.Attempted, d.Failed+d.Retried
	if s.Back100 > 0 {
		s.PerSecond = float64(s.Clients) / s.Back100
	}
	if server != nil {
		r.tolerated += d.Lost // they were meant to be
		s.Lost = d.Lost
	}
}

// during runs a window with messages, or without where there is no publisher.
func (r *run) during(ctx context.Context, p publisher, d load) *Sent {
	if p != nil {
		r.result.Fanout = r.window(ctx, p, d)
		return r.result.Fanout
	}
	r.enter(PhaseHold)
	r.engine.collect()
	r.engine.takePhase()
	d.during(ctx)
	r.engine.collect()
	r.phaseLatency = r.engine.takePhase()
	return nil
}

// disturb is the storm itself.
func (r *run) disturb(ctx context.Context, s *Storm, server *serverCommand) {
	if err := r.rest(ctx, r.plan.Before); err != nil {
		r.note("waiting for the storm", err)
		return
	}
	defer r.engine.pacing()()
	defer r.engine.recover(false)
	if err := r.engine.recover(true); err != nil {
		r.note("preparing the storm", err)
		return
	}
	t := r.engine.totals()
	back := &comeback{want: t.moversUp, returned: t.returned, cut: t.cut, restart: server != nil, start: r.engine.now()}
	s.Clients = back.want
	r.enter(PhaseStorm)
	var err error
	if server == nil {
		err = r.engine.cut()
	} else {
		err = r.restart(ctx, s, server, back.start)
	}
	if err != nil {
		r.note("in the storm", err)
		return
	}
	limit, cancel := context.WithTimeout(ctx, r.plan.GiveUp)
	defer cancel()
	err = r.engine.wait(limit, r.plan.GiveUp, func(t totals) bool { return back.saw(t, r.engine.now()) })
	s.Back50, s.Back95, s.Back100 = back.seconds(0), back.seconds(1), back.seconds(2)
	switch {
	case ctx.Err() != nil:
		r.note("waiting for the clients to come back", ctx.Err())
	case err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errQuiet)):
		r.fail("only %d of %d clients were back after %v (--give-up)", r.engine.totals().moversUp, s.Clients, r.plan.GiveUp)
		if snap, err := r.engine.collect(); err == nil {
			r.hints(snap.Failures, snap.Retries)
		}
	case err != nil:
		r.note("waiting for the clients to come back", err)
	default:
		r.note("after the storm", r.rest(ctx, r.plan.After))
	}
}

// restart stops the gateway and starts it again.
func (r *run) restart(ctx context.Context, s *Storm, server *serverCommand, start int64) error {
	if err := server.Signal(signals[r.plan.ServerSignal]); err != nil {
		return err
	}
	if err := server.Await(ctx, r.plan.GiveUp); err != nil {
		return fmt.Errorf("stopping the gateway: %w", err)
	}
	s.Stopped = timeSince(r.engine.now(), start).Seconds()
	if err := server.start(ctx, r.plan.Timeout); err != nil {
		return fmt.Errorf("starting the gateway again: %w", err)
	}
	s.Started = timeSince(r.engine.now(), start).Seconds()
	if r.watch != nil {
		r.restarted = true
		if err := r.watch.find(&r.plan.target); err != nil {
			r.warn("%v", err)
			return nil
		}
		r.result.Server.PID = r.watch.PID()
		if r.kernel != nil {
			if err := r.kernel.Follow(r.watch.PID()); err != nil {
				r.warn("the kernel's figures can't be read any more: %v", err)
			}
		}
	}
	return nil
}

// comeback tells from the totals when 50, 95 and 100 % of the clients were
// back to stay.
type comeback struct {
	want     int64
	returned uint64 // before the storm
	cut      uint64
	restart  bool
	start    int64
	at       [3]int64 // 0: not, or no longer
}

// saw takes the totals and reports whether all are back.
func (b *comeback) saw(t totals, now int64) bool {
	came := int64(t.returned - b.returned)
	for i, share := range [...]float64{0.5, 0.95, 1} {
		n := int64(math.Ceil(share * float64(b.want)))
		switch {
		case came < n || t.moversUp < n || !b.restart && int64(t.cut-b.cut) < b.want:
			b.at[i] = 0
		case b.at[i] == 0:
			b.at[i] = now
		}
	}
	return b.at[2] > 0
}

func (b *comeback) seconds(i int) float64 {
	if b.at[i] == 0 {
		return never
	}
	return time.Duration(b.at[i] - b.start).Seconds()
}
