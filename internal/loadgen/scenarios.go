package loadgen

import (
	"context"
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// Idle connects the clients and holds them: what does a connection cost? Its
// error is a run that could not begin; the result tells of all others.
func Idle(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	r, err := newRun(ctx, "idle", c, o)
	if err != nil {
		return nil, err
	}
	if r.plan.StageList != nil {
		r.stages(ctx, nil)
	} else if r.connect(ctx) {
		r.hold(ctx)
	}
	return r.finish(), nil
}

// hold waits while the clients do nothing but answer heartbeats.
func (r *run) hold(ctx context.Context) {
	r.begin(result.PhaseHold)
	before, _ := r.clients.collect()
	from, serverFrom := r.effort(), r.sampleServer()
	r.holdFor(ctx, r.plan.Hold)
	after, _ := r.clients.collect()
	h := &result.Held{Pings: after.Counters.Pings - before.Counters.Pings, Effort: r.effort().since(from)}
	h.Seconds = h.Effort.Seconds
	r.result.Idle = h
	if s := r.result.Server; s != nil && h.Seconds > 0 {
		if cpu, ok := r.sampleServer().CPUSince(serverFrom); ok {
			s.CPUIdle = cpu / h.Seconds * 100
		}
	}
}

// Fanout connects the clients, waits until all are subscribed, publishes and
// accounts for every message of every subscription. Its error is a run that
// could not begin; the result tells of all others.
func Fanout(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := publish.New(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return fanout(ctx, c, o, p)
}

// fanout is Fanout over any publisher.
func fanout(ctx context.Context, c plan.Config, o Options, p publish.Publisher) (*result.Result, error) {
	r, err := newRun(ctx, "fanout", c, o)
	if err != nil {
		return nil, err
	}
	if r.plan.StageList != nil {
		r.stages(ctx, p)
	} else if r.connect(ctx) {
		r.result.Fanout = r.window(ctx, p, load{messages: r.plan.Messages})
	}
	return r.finish(), nil
}

// RunMixed loads with everything at once: transports by share, messages, churn
// of one share of the clients and another that is slow. Its error is a run
// that could not begin.
func RunMixed(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	if err := checkMixed(c); err != nil {
		return nil, err
	}
	return withPublisher(ctx, c, func(p publish.Publisher) (*result.Result, error) { return mixed(ctx, c, o, p) })
}

func checkMixed(c plan.Config) error {
	var u plan.Problems
	if c.Share+c.SlowShare >= 1 {
		u.Add("--slow-share", c.SlowShare, "with --share %v nobody is left to measure by: the two must be less than 1 together", c.Share)
	}
	if (c.Share > 0) != (c.ChurnRate > 0) {
		u.Add("--churn-rate", c.ChurnRate, "and --share %v: one without the other does nothing", c.Share)
	}
	if c.SlowShare > 0 && c.Rate == 0 {
		u.Add("--rate", c.Rate, "without messages nobody falls behind; want more than 0")
	}
	return errors.Join(u...)
}

func mixed(ctx context.Context, c plan.Config, o Options, p publish.Publisher) (*result.Result, error) {
	c.Timed = true
	r, err := newRun(ctx, "mixed", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		d := load{during: func(ctx context.Context) { r.holdFor(ctx, r.plan.Duration) }}
		if r.plan.ChurnRate > 0 {
			d.during = r.churn
		}
		if r.plan.SlowShare > 0 {
			x := &result.Slow{Clients: r.plan.Roles.Slow, Read: r.plan.SlowRead}
			r.result.Slow = x
			r.slowed(ctx, x, func() { x.Loaded = r.during(ctx, p, d) })
		} else {
			r.during(ctx, p, d)
		}
		r.judgeChurn()
	}
	return r.finish(), nil
}

// RunSlow publishes twice: while all clients read, and while a share of them
// reads little or nothing. Its error is a run that could not begin.
func RunSlow(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	if err := checkSlow(c); err != nil {
		return nil, err
	}
	return withPublisher(ctx, c, func(p publish.Publisher) (*result.Result, error) { return slowRun(ctx, c, o, p) })
}

func checkSlow(c plan.Config) error {
	var u plan.Problems
	if c.SlowShare <= 0 || c.SlowShare >= 1 {
		u.Add("--slow-share", c.SlowShare, "not allowed, want more than 0 and less than 1")
	}
	if c.Rate <= 0 {
		u.Add("--rate", c.Rate, "without messages nobody falls behind; want more than 0")
	}
	return errors.Join(u...)
}

func slowRun(ctx context.Context, c plan.Config, o Options, p publish.Publisher) (*result.Result, error) {
	c.Timed = true
	r, err := newRun(ctx, "slow", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		rest := load{during: func(ctx context.Context) { r.holdFor(ctx, r.plan.Duration) }}
		x := &result.Slow{Clients: r.plan.Roles.Slow, Read: r.plan.SlowRead}
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
func (r *run) slowed(ctx context.Context, x *result.Slow, loaded func()) {
	before := r.sampleServer()
	x.From = time.Since(r.began).Seconds()
	r.note("slowing down", r.clients.do(client.Command{Do: client.DoSlow, On: true}))
	loaded()
	x.To = time.Since(r.began).Seconds()
	x.Before, x.After = before, r.sampleServer()
	if ctx.Err() == nil {
		// What the server said at the end stands behind what they did not read.
		r.note("reading what was left", r.clients.do(client.Command{Do: client.DoSlow}))
		r.note("reading what was left", r.clients.sleep(ctx, r.plan.Settle, nil))
	}
	if snap, err := r.clients.collect(); err == nil {
		x.Closes, x.Ended = snap.Tallies[account.SlowLosses], snap.Counters.SlowLost
	}
	if x.Baseline != nil && x.Loaded != nil && x.Baseline.Due.P99 > 0 {
		x.P99Ratio = float64(x.Loaded.Due.P99) / float64(x.Baseline.Due.P99)
	}
}
