// Package loadgen is a load engine for push gateways: it holds many clients
// with a few event loops, publishes through Redis, and accounts for every
// message of every subscription.
//
// It speaks only the wire, so that its figures owe nothing to the code they
// judge. A run is a scenario (Idle, Fanout, RunStorm, RunChurn, RunSlow,
// RunMixed) over a Config; its outcome is a Result, which the command prints
// as a table or as JSON.
//
//	plan     Config, checked against the abilities of the host
//	client   loops of clients behind one of three transports
//	agent    the same in other processes, here or on other hosts
//	publish  Redis, HTTP or a command, to send the messages
//	account  ledgers, counters, latencies and reasons
//	result   the outcome: figures, limits for them, tables
//
// This package runs the scenarios: it commands clients and publisher, samples the
// server and the kernel, and judges the outcome.
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

// scenario is a kind of run.
type scenario struct {
	name string
	// check adds the reasons why a Config is none of this scenario; nil for none.
	check    func(c plan.Config, u *plan.Problems)
	messages messages
	// restarts: with --server-cmd the gateway is started first, for a restart that
	// hits all clients.
	restarts bool
	// run is called once all clients are connected; p is nil where nothing is to
	// be published.
	run func(ctx context.Context, r *run, p publish.Publisher)
}

// messages is how a scenario publishes.
type messages int

const (
	noMessages messages = iota
	byNumber
	forTime // where there is a rate
)

// Idle connects the clients and holds them: its result is the cost of a connection. Its error,
// as the other scenarios', is a run that could not begin; the result has all other errors.
func Idle(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	return idle.start(ctx, c, o)
}

// Fanout connects the clients, waits until all are subscribed, publishes and
// accounts for every message of every subscription.
func Fanout(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	return fanout.start(ctx, c, o)
}

// RunStorm connects the clients, cuts a share of them or restarts the gateway, and watches them
// reconnect while messages are published.
func RunStorm(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	return storm.start(ctx, c, o)
}

// RunChurn connects the clients, then closes and opens a share of them again
// at a steady rate.
func RunChurn(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	return churn.start(ctx, c, o)
}

// RunSlow publishes twice: while all clients read, and while a share of them
// reads little or nothing.
func RunSlow(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	return slow.start(ctx, c, o)
}

// RunMixed loads with everything at once: transports by share, messages, churn
// of one share of the clients and another that is slow.
func RunMixed(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	return mixed.start(ctx, c, o)
}

// start runs the scenario, once nothing is wrong with the Config.
func (s scenario) start(ctx context.Context, c plan.Config, o Options) (*result.Result, error) {
	var u plan.Problems
	if s.check != nil {
		s.check(c, &u)
	}
	if err := errors.Join(c.Validate(), errors.Join(u...)); err != nil {
		return nil, err
	}
	if s.messages == noMessages || s.messages == forTime && c.Rate == 0 {
		return s.with(ctx, c, o, nil)
	}
	p, err := publish.New(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return s.with(ctx, c, o, p)
}

// with runs the scenario with a publisher, or nil.
func (s scenario) with(ctx context.Context, c plan.Config, o Options, p publish.Publisher) (*result.Result, error) {
	c.Timed = c.Timed || s.messages == forTime
	var server *ServerCommand
	if s.restarts && c.ServerCmd != "" {
		c.Share = 1
		var err error
		if server, err = Launch(ctx, c); err != nil {
			return nil, err
		}
		defer server.Close() // the one that runs then
	}
	r, err := newRun(ctx, s.name, c, o)
	if err != nil {
		return nil, err
	}
	r.server = server
	if r.plan.StageList != nil {
		r.stages(ctx, p)
	} else if r.connect(ctx) {
		s.run(ctx, r, p)
	}
	return r.finish(), nil
}

var idle = scenario{name: "idle", run: func(ctx context.Context, r *run, _ publish.Publisher) { r.hold(ctx) }}

// hold waits while the clients do nothing but answer heartbeats.
func (r *run) hold(ctx context.Context) {
	r.begin(result.PhaseHold)
	from := r.moment()
	r.holdFor(ctx, r.plan.Hold)
	to := r.moment()
	h := &result.Held{Pings: to.counted(from).Pings, Effort: to.since(from.effort)}
	h.Seconds = h.Effort.Seconds
	r.result.Idle = h
	if s := r.result.Server; s != nil && h.Seconds > 0 {
		if cpu, ok := to.serverCPU(from); ok {
			s.CPUIdle = cpu / h.Seconds * 100
		}
	}
}

var fanout = scenario{name: "fanout", messages: byNumber, run: func(ctx context.Context, r *run, p publish.Publisher) {
	r.result.Fanout = r.window(ctx, p, load{messages: r.plan.Messages})
}}

// during runs a window with messages, or without where there is no publisher.
func (r *run) during(ctx context.Context, p publish.Publisher, d load) *result.Sent {
	if p != nil {
		r.result.Fanout = r.window(ctx, p, d)
		return r.result.Fanout
	}
	r.begin(result.PhaseHold)
	r.clients.collect()
	r.clients.takePhase()
	d.during(ctx)
	r.clients.collect()
	r.phaseLatency = r.clients.takePhase()
	return nil
}

// forDuration is a load for --duration with nothing else.
func (r *run) forDuration() load {
	return load{during: func(ctx context.Context) { r.holdFor(ctx, r.plan.Duration) }}
}

var mixed = scenario{name: "mixed", messages: forTime,
	check: func(c plan.Config, u *plan.Problems) {
		if c.Share+c.SlowShare >= 1 {
			u.Add("--slow-share", c.SlowShare, "with --share %v nobody is left to measure by: the two must be less than 1 together", c.Share)
		}
		if (c.Share > 0) != (c.ChurnRate > 0) {
			u.Add("--churn-rate", c.ChurnRate, "and --share %v: one without the other does nothing", c.Share)
		}
		if c.SlowShare > 0 && c.Rate == 0 {
			u.Add("--rate", c.Rate, "without messages nobody falls behind; want more than 0")
		}
	},
	run: func(ctx context.Context, r *run, p publish.Publisher) {
		d := r.forDuration()
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
	}}

var slow = scenario{name: "slow", messages: forTime,
	check: func(c plan.Config, u *plan.Problems) {
		if c.SlowShare <= 0 || c.SlowShare >= 1 {
			u.Add("--slow-share", c.SlowShare, "not allowed, want more than 0 and less than 1")
		}
		if c.Rate <= 0 {
			u.Add("--rate", c.Rate, "without messages nobody falls behind; want more than 0")
		}
	},
	run: func(ctx context.Context, r *run, p publish.Publisher) {
		x := &result.Slow{Clients: r.plan.Roles.Slow, Read: r.plan.SlowRead}
		x.Baseline = r.window(ctx, p, r.forDuration())
		if x.Baseline != nil && ctx.Err() == nil {
			r.result.Slow = x
			r.slowed(ctx, x, func() { x.Loaded = r.window(ctx, p, r.forDuration()) })
			r.result.Fanout = x.Loaded
		}
	}}

// slowed has the slow clients stop reading while loaded runs, and books
// their end.
func (r *run) slowed(ctx context.Context, x *result.Slow, loaded func()) {
	before := r.sampleServer()
	x.From = time.Since(r.began).Seconds()
	r.note("slowing down", r.clients.do(client.Command{Do: client.DoSlow, On: true}))
	loaded()
	x.To = time.Since(r.began).Seconds()
	x.Before, x.After = before, r.sampleServer()
	if ctx.Err() == nil {
		// The server's last words stand behind the messages that they did not read.
		r.note("reading the backlog", r.clients.do(client.Command{Do: client.DoSlow}))
		r.note("reading the backlog", r.clients.sleep(ctx, r.plan.Settle, nil))
	}
	if snap, err := r.clients.collect(); err == nil {
		x.Closes, x.Ended = snap.Tallies[account.SlowLosses], snap.Counters.SlowLost
	}
	if x.Baseline != nil && x.Loaded != nil && x.Baseline.Due.P99 > 0 {
		x.P99Ratio = float64(x.Loaded.Due.P99) / float64(x.Baseline.Due.P99)
	}
}
