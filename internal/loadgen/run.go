package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pushgate/pushgate/internal/probe"
)

// run is one execution of a scenario: the engine, the watch on the server, the
// series and the result that grows out of them.
type run struct {
	// Immutable
	plan    *plan
	engine  *engine
	watch   *serverProcess // nil: not found
	metrics *metricsWatch  // nil: no --admin
	kernel  *probe.Kernel  // nil: can't be read
	atStart *ProcessSample // of the server, before the first client; nil: not read
	sampler *sampler
	began   time.Time

	// Owned by the scenario
	result       *Result
	sequence     []uint32                // per channel: the last number sent
	roundTrips   *hdrhistogram.Histogram // to Redis, of all windows
	phaseLatency latencies               // of the window that ended last
	tolerated    uint64                  // losses that the run has brought about
	unread       bool                    // the server's process could not be read
	restarted    bool                    // the server's process is another one than before
	top          uint64                  // clients that were connected when the books on that were made

	// Atomic, for the sampler
	phase     atomic.Value // Phase
	phaseEnds atomic.Int64 // ns of the run; 0: not known
	published atomic.Uint64
	expected  atomic.Uint64
}

// Options are what a command adds to a run.
type Options struct {
	// Command is kept in the result.
	Command []string
	// Progress is called with each sample, on a goroutine of the run; nil for
	// none.
	Progress func(Sample)
	// Interval is called with the latencies of each second, before Progress,
	// and once at the end; nil for none.
	Interval func(Interval)
}

// newRun checks the plan and starts the loops; finish stops them.
func newRun(ctx context.Context, scenario string, c Config, o Options) (*run, error) {
	limits, err := readHostLimits()
	if err != nil {
		return nil, err
	}
	p, err := newPlan(ctx, c, limits)
	if err != nil {
		return nil, err
	}
	r := &run{plan: p, began: time.Now(), roundTrips: newHistogram()}
	r.result = newResult(scenario, p, r.began)
	r.result.Command = o.Command
	r.enter(PhaseConnect)
	out, err := p.reach(ctx, limits)
	if err != nil {
		return nil, err
	}
	r.unreached(out)
	r.watch, err = findServer(p.PID, &p.target, p.Foreign)
	switch {
	case err == nil:
	case p.PID != 0:
		return nil, err
	case p.target.isLocal():
		r.warn("%v", err)
	}
	p.proxy = proxyAt(&p.target)
	if p.Admin != "" {
		if r.metrics, err = watchMetrics(ctx, c); err != nil {
			return nil, err
		}
	}
	if r.kernel, err = probe.WatchKernel(r.watch.PID()); err != nil {
		r.warn("the kernel's figures can't be read: %v", err)
	}
	if p.crowded(limits.ports) {
		r.warn("over %d of the %d ports of a source address are in use: finding a free one costs this host so much that the connects are slow; name more addresses with --src", limits.ports/2, limits.ports)
	}
	if r.engine, err = newEngine(p); err != nil {
		return nil, err
	}
	if err := r.engine.start(); err != nil {
		return nil, err
	}
	if len(p.agentCommands()) > 0 {
		if err := r.engine.hire(ctx); err != nil {
			r.engine.close()
			return nil, err
		}
	}
	r.atStart = r.sampleServer()
	r.sampler = newSampler(r, o)
	return r, nil
}

// unreached says which addresses of the target were left out. That a name of
// this host stands for both families goes without saying.
func (r *run) unreached(out []netip.AddrPort) {
	if len(out) > 0 && !r.plan.target.isLocal() {
		t := Target{Addrs: out}
		r.warn("these addresses of --url take no connection, and no client was sent there: %s", &t)
	}
}

// enter begins a phase whose end is not known.
func (r *run) enter(p Phase) {
	r.phaseEnds.Store(0)
	r.phase.Store(p)
}

// rest lets a time of the present phase pass.
func (r *run) rest(ctx context.Context, d time.Duration) error {
	r.lasts(d)
	defer r.phaseEnds.Store(0)
	return r.engine.sleep(ctx, d)
}

// lasts says how long the present phase goes on.
func (r *run) lasts(d time.Duration) { r.phaseEnds.Store(int64(time.Since(r.began) + d)) }

func (r *run) fail(format string, args ...any) {
	r.result.Failed = append(r.result.Failed, fmt.Sprintf(format, args...))
}

func (r *run) warn(format string, args ...any) {
	r.result.Warnings = append(r.result.Warnings, fmt.Sprintf(format, args...))
}

// note records why a phase ended early; nil is the end that was hoped for.
func (r *run) note(doing string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if !r.result.Interrupted {
			r.result.Interrupted = true
			r.fail("interrupted while %s", doing)
		}
	case slices.ContainsFunc(r.result.Failed, func(f string) bool { return strings.HasSuffix(f, ": "+err.Error()) }):
		// A process that is gone fails every order: once is enough.
	default:
		r.fail("%s: %v", doing, err)
	}
}

// effort reads what this process spent up to now.
func (r *run) effort() effort {
	e := effort{at: time.Now(), cpu: probe.OwnCPU()}
	if s, err := r.engine.collect(); err == nil {
		e.busy, e.cpus = s.Busy, r.engine.cpus()
		e.cpu += s.CPU
	}
	return e
}

// hints says what to change, by why clients failed.
func (r *run) hints(failures ...tally) {
	for _, h := range hints(r.plan.Foreign, failures...) {
		r.fail("%s", h)
	}
}

// connect opens all clients and books how that went. False: there is nothing
// to go on with.
func (r *run) connect(ctx context.Context) bool {
	res := r.result
	r.watchServer()
	from := r.effort()
	err := r.engine.connect(ctx)
	to := r.effort()
	r.note("connecting", err)

	c := &res.Connect
	c.Effort = to.since(from)
	c.Seconds = c.Effort.Seconds
	snap, _ := r.engine.collect()
	if c.Seconds > 0 {
		c.PerSecond = float64(snap.Counters.Established) / c.Seconds
	}
	l := r.engine.takePhase()
	c.Handshake, c.HandshakeDue, c.Ready, c.Late = l.handshake, l.paced, l.ready, snap.Counters.LateConnects
	r.warnLate("", c.Late)
	r.bookConnected()
	if n := snap.Counters; n.Ready < uint64(r.plan.Connections) && !res.Interrupted {
		text := fmt.Sprintf("%d of %d clients did not connect", uint64(r.plan.Connections)-n.Ready, r.plan.Connections)
		if n.Untried > 0 {
			text += fmt.Sprintf("; the run gave up after the first %d", n.Attempted)
		}
		r.fail("%s", text)
		r.hints(snap.Failures)
	}
	return err == nil && snap.Counters.Ready > 0
}

// boundSeconds is how many single seconds at the limit are no accident.
const boundSeconds = 2

// boundBy warns when the load generator was the limit of a phase, over all of
// it or for seconds in the series.
func (r *run) boundBy(doing string, phase Phase, e Effort) {
	n := 0
	for _, x := range r.result.Series {
		if x.Phase == phase && x.LoopBusy > clientBound {
			n++
		}
	}
	if e.Bound && e.Seconds > 0.5 || n >= boundSeconds {
		r.warn("CLIENT-BOUND while %s: loadgen itself used %.0f %% of the CPU it could get, its busiest loop was busy %.0f %% of the time and over 90 %% in %d single seconds; the server can do better than these figures say",
			doing, e.Share*100, e.Busy*100, n)
	}
}

// leaveGrace bounds the polite end of a run that was interrupted.
const leaveGrace = 10 * time.Second

// finish closes the clients, stops everything and completes the result.
func (r *run) finish() *Result {
	res := r.result
	r.awaitReturns()
	snap, err := r.engine.collect()
	r.note("counting", err)
	res.Partial = err != nil
	res.Counters, res.Failures, res.Losses, res.Errors = snap.Counters, snap.Failures, snap.Losses, snap.Errors
	res.Addresses = snap.Addresses
	res.Retries, res.Deferrals, res.Proxy, res.ProxyCuts = snap.Retries, snap.Deferrals, snap.Proxy, snap.Cuts
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
		r.hints(res.Losses.closes())
	}
	r.judgeProxy()
	if n := res.Counters.Gaps; n > 0 {
		r.warn("the gateway announced %d gaps", n)
	}
	if n := res.Counters.Errors; n > 0 {
		r.warn("the gateway sent %d errors to ready clients", n)
	}

	r.enter(PhaseLeave)
	// A context of its own: after an interrupt the clients are closed as well.
	ctx, cancel := context.WithTimeout(context.Background(), leaveGrace)
	defer cancel()
	if err := r.engine.leave(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		r.note("closing the clients", err)
	}
	if series := r.sampler.halt(); len(series) > 0 {
		res.Series = series
	}
	r.boundBy("connecting", PhaseConnect, res.Connect.Effort)
	if res.Fanout != nil {
		r.boundBy("publishing", PhasePublish, res.Fanout.Effort)
	}
	if res.Storm != nil {
		r.boundBy("in the storm", PhaseStorm, Effort{})
	}
	r.judgeKernel()
	if res.Slow != nil {
		res.Slow.peak(res.Series)
	}
	if r.metrics != nil {
		r.metrics.close()
	}
	if f := r.engine.fleet; f != nil {
		res.Agents = f.results(ctx, r.engine.now)
	}
	r.engine.close()
	res.Seconds = time.Since(r.began).Seconds()
	if s := res.Server; s != nil && r.restarted {
		s.Restarted = true
	} else if s != nil && !s.Unread {
		s.perConnection(res, r.top)
	}
	return res
}

// byCount lists reasons, the most frequent first.
func byCount(t tally) []Reason {
	all := make([]Reason, 0, len(t))
	for r := range t {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Reason) int {
		if t[a] != t[b] {
			return int(int64(t[b]) - int64(t[a]))
		}
		if a < b {
			return -1
		}
		return 1
	})
	return all
}
