package loadgen

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/agent"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// run is one execution of a scenario: the engine, the watch on the server, the
// series and the result that grows out of them.
type run struct {
	observer
	timeline

	// Immutable
	plan    *plan.Plan
	clients *crowd
	sampler *sampler
	server  *ServerCommand // nil: the run has started none

	// Owned by the scenario
	sequence     []uint32                // per channel: the last number sent
	roundTrips   *hdrhistogram.Histogram // to Redis, of all windows
	phaseLatency account.Latencies       // of the window that ended last
	tolerated    uint64                  // losses that the run has brought about

	// Atomic, for the sampler
	published atomic.Uint64
	expected  atomic.Uint64
}

// timeline is the phases of a run.
type timeline struct {
	began time.Time // immutable

	// Atomic, for the sampler
	phase     atomic.Value // Phase
	phaseEnds atomic.Int64 // ns of the run; 0: not known
}

// begin begins a phase whose end is not known.
func (t *timeline) begin(p result.Phase) {
	t.phaseEnds.Store(0)
	t.phase.Store(p)
}

// lasts says how long the present phase goes on.
func (t *timeline) lasts(d time.Duration) { t.phaseEnds.Store(int64(time.Since(t.began) + d)) }

// Options are a command's additions to a run.
type Options struct {
	// Command is kept in the result.
	Command []string
	// Progress is called with each sample, on a goroutine of the run; nil for
	// none.
	Progress func(result.Sample)
	// Interval is called with the latencies of each second, before Progress,
	// and once at the end; nil for none.
	Interval func(result.Interval)
}

// newRun checks the plan and starts the loops; finish stops them.
func newRun(ctx context.Context, scenario string, c plan.Config, o Options) (*run, error) {
	limits, err := plan.ReadHostLimits()
	if err != nil {
		return nil, err
	}
	p, err := plan.New(ctx, c, limits)
	if err != nil {
		return nil, err
	}
	r := &run{plan: p, timeline: timeline{began: time.Now()}, roundTrips: account.NewHistogram()}
	r.result = newResult(scenario, p, r.began)
	r.result.Command = o.Command
	r.begin(result.PhaseConnect)
	out, err := p.Reach(ctx, limits)
	if err != nil {
		return nil, err
	}
	if len(out) > 0 && !p.Target.IsLocal() { // a name of this host stands for both families, which is no news
		r.warn("these addresses of --url take no connection, and no client was sent there: %s", &plan.Target{Addrs: out})
	}
	r.watch, err = findServer(p.PID, &p.Target, p.Foreign)
	switch {
	case err == nil:
	case p.PID != 0:
		return nil, err
	case p.Target.IsLocal():
		r.warn("%v", err)
	}
	p.Proxy = proxyAt(&p.Target)
	if p.Admin != "" {
		if r.metrics, err = watchMetrics(ctx, c); err != nil {
			return nil, err
		}
	}
	if r.kernel, err = probe.WatchKernel(r.watch.PID()); err != nil {
		r.warn("the kernel's figures can't be read: %v", err)
	}
	if p.Crowded(limits.Ports) {
		r.warn("over %d of the %d ports of a source address are in use: finding a free one costs this host so much that the connects are slow; name more addresses with --src", limits.Ports/2, limits.Ports)
	}
	if r.clients, err = newCrowd(ctx, p); err != nil {
		return nil, err
	}
	r.atStart = r.sampleServer()
	r.sampler = newSampler(r, o)
	return r, nil
}

// pause lets a time of the present phase pass.
func (r *run) pause(ctx context.Context, d time.Duration) error {
	r.lasts(d)
	defer r.phaseEnds.Store(0)
	return r.clients.sleep(ctx, d, nil)
}

// connect opens all clients and books how that went. False: there is nothing
// to go on with.
func (r *run) connect(ctx context.Context) bool {
	res := r.result
	r.watchServer()
	from := r.moment()
	err := r.clients.ramp(ctx, r.plan.Connections, r.plan.ConnectRate)
	to := r.moment()
	r.note("connecting", err)

	c := &res.Connect
	c.Effort = to.since(from.effort)
	c.Seconds = c.Effort.Seconds
	counters := &to.clients.Counters
	if c.Seconds > 0 {
		c.PerSecond = float64(counters.Established) / c.Seconds
	}
	l := r.clients.takePhase()
	c.Handshake, c.HandshakeDue, c.Ready, c.Late = l[account.OfHandshake], l[account.OfHandshakeDue], l[account.OfReady], counters.LateConnects
	r.warnLate("", c.Late)
	r.bookConnected(r.clients.Totals().Open)
	if counters.Ready < uint64(r.plan.Connections) && !res.Interrupted {
		text := fmt.Sprintf("%d of %d clients did not connect", uint64(r.plan.Connections)-counters.Ready, r.plan.Connections)
		if counters.Untried > 0 {
			text += fmt.Sprintf("; the run gave up after the first %d", counters.Attempted)
		}
		r.fail("%s", text)
		r.hints(to.clients.Tallies[account.Failures])
	}
	return err == nil && counters.Ready > 0
}

// leaveGrace bounds the polite end of a run that was interrupted.
const leaveGrace = 10 * time.Second

// finish closes the clients, stops everything and completes the result.
func (r *run) finish() *result.Result {
	res := r.result
	r.awaitReturns()
	snap, err := r.clients.collect()
	r.note("counting", err)
	res.Partial = err != nil
	res.Counters, res.Failures, res.Losses, res.Errors = snap.Counters, snap.Tallies[account.Failures], snap.Tallies[account.Losses], snap.Tallies[account.Errors]
	res.Addresses = snap.Addresses
	res.Retries, res.Deferrals, res.Proxy, res.ProxyCuts = snap.Tallies[account.Retries], snap.Tallies[account.Deferrals], snap.Proxy, snap.Tallies[account.Cuts]
	if s := res.Server; s != nil {
		r.bookServer(&s.After)
		var err error
		if s.MetricsAfter, err = r.sampleMetrics(); err != nil {
			r.warn("the gateway's metrics can't be read any more: %v", err)
		}
	}
	if k := res.Kernel; k != nil {
		r.sampleKernel(&k.After)
	}
	if n := res.Counters.Lost - min(res.Counters.Lost, r.tolerated); n > 0 {
		r.fail("%d clients were lost", n)
		r.hints(res.Losses.Closes())
	}
	r.judgeProxy()
	if n := res.Counters.Gaps; n > 0 {
		r.warn("the gateway announced %d gaps", n)
	}
	if n := res.Counters.Errors; n > 0 {
		r.warn("the gateway sent %d errors to ready clients", n)
	}

	r.begin(result.PhaseLeave)
	// A context of its own: after an interrupt the clients are closed as well.
	ctx, cancel := context.WithTimeout(context.Background(), leaveGrace)
	defer cancel()
	if err := r.clients.leave(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		r.note("closing the clients", err)
	}
	if series := r.sampler.halt(); len(series) > 0 {
		res.Series = series
	}
	r.boundBy("connecting", result.PhaseConnect, res.Connect.Effort)
	if res.Fanout != nil {
		r.boundBy("publishing", result.PhasePublish, res.Fanout.Effort)
	}
	if res.Storm != nil {
		r.boundBy("in the storm", result.PhaseStorm, result.Effort{})
	}
	r.judgeKernel()
	if res.Slow != nil {
		res.Slow.Peak(res.Series)
	}
	if r.metrics != nil {
		r.metrics.Close()
	}
	if f, ok := r.clients.clients.(*agent.Fleet); ok {
		res.Agents = f.Results(ctx)
	}
	r.clients.Close()
	res.Seconds = time.Since(r.began).Seconds()
	if s := res.Server; s != nil && r.restarted {
		s.Restarted = true
	} else if s != nil && !s.Unread {
		s.PerConnection(res, r.top)
	}
	return res
}

// awaitReturns gives clients that were cut a moment ago the time to reconnect.
func (r *run) awaitReturns() {
	if r.result.Interrupted || r.clients.Totals().Away == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), client.StrandedAfter+time.Second)
	defer cancel()
	// Its error is that some did not, which the counters tell.
	r.clients.wait(ctx, client.StrandedAfter+time.Second, func(t account.Totals) bool { return t.Away == 0 })
}
