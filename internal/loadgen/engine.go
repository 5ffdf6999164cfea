package loadgen

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// engine runs a plan's clients on its loops. Its methods may be called from
// any goroutine, start and close from one.
type engine struct {
	// Immutable
	plan  *plan
	loops []*loop   // none where other processes hold the clients
	fleet *fleet    // nil: no others; set before any order
	base  time.Time // the clock's zero, with its monotonic reading
	wall  int64     // base in ns since the epoch

	// wake tells wait that a loop has shown something new; the loops send
	// without blocking, it is never closed.
	wake chan struct{}
	// dead is closed by the first loop that fails, after fault was set.
	dead  chan struct{}
	fault error
	once  sync.Once

	// The ticker's goroutine is stopped by close of stop, done answers.
	stop, done chan struct{}
	// tickEvery is the ticker's period in ns.
	tickEvery atomic.Int64

	// Guarded by mu
	mu     sync.Mutex
	total  recorder // of the whole run
	recent recorder // since the last takeRecent
	phase  recorder // since the last takePhase
	known  snapshot // the last that was whole, where this process holds the clients
}

const (
	tickFast = 2 * time.Millisecond // while a pace is to be kept
	tickSlow = 50 * time.Millisecond
)

// errQuiet says that nothing happened for too long.
var errQuiet = errors.New("nothing arrived for too long")

// newEngine makes the loops; they run after start.
func newEngine(p *plan) (*engine, error) {
	base := time.Now()
	e := &engine{
		plan:   p,
		base:   base,
		wall:   base.UnixNano(),
		wake:   make(chan struct{}, 1),
		dead:   make(chan struct{}),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		total:  newRecorder(),
		recent: newRecorder(),
		phase:  newRecorder(),
		known:  *newSnapshot(),
	}
	e.tickEvery.Store(int64(tickSlow))
	n := min(p.Loops, p.Connections)
	if len(p.agentCommands()) > 0 {
		n = 0
	}
	for i := range n {
		l, err := newLoop(e, i, n)
		if err != nil {
			e.closeLoops()
			return nil, fmt.Errorf("event loop: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// now reads the run's clock: ns since the epoch that never jump.
func (e *engine) now() int64 { return e.wall + int64(time.Since(e.base)) }

// start runs the loops and the ticker's goroutine; close stops and awaits them.
func (e *engine) start() error {
	go e.ticks()
	for _, l := range e.loops {
		if err := l.reactor.Start(e.fail); err != nil {
			e.close()
			return fmt.Errorf("event loop: %w", err)
		}
	}
	return nil
}

func (e *engine) fail(err error) {
	e.once.Do(func() {
		e.fault = err
		close(e.dead)
	})
}

// hire has other processes hold the clients; close ends them.
func (e *engine) hire(ctx context.Context) (err error) {
	e.fleet, err = newFleet(ctx, e.plan, e)
	return err
}

// cpus is how many CPUs the clients can use.
func (e *engine) cpus() int {
	if e.fleet != nil {
		return e.fleet.cpus
	}
	return runtime.GOMAXPROCS(0)
}

// order gives an order to whoever holds the clients.
func (e *engine) order(o order) (answer, error) {
	if e.fleet != nil {
		return e.fleet.order(o)
	}
	return e.perform(o)
}

// close stops everything and cuts what is still connected.
func (e *engine) close() {
	if e.fleet != nil {
		e.fleet.close()
	}
	close(e.stop)
	<-e.done
	e.closeLoops()
}

func (e *engine) closeLoops() {
	for _, l := range e.loops {
		l.reactor.Close()
		l.closeAll()
	}
}

// ticks posts a tick to each loop in every period; one at a time, so that a
// loop that is behind doesn't collect them.
func (e *engine) ticks() {
	defer close(e.done)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
		}
		for _, l := range e.loops {
			if l.ticking.CompareAndSwap(false, true) {
				l.reactor.Post(l.tick)
			}
		}
		t.Reset(time.Duration(e.tickEvery.Load()))
	}
}

func (e *engine) notify() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// totals sums up what the loops have shown last.
func (e *engine) totals() (t totals) {
	if e.fleet != nil {
		return e.fleet.totals()
	}
	for _, l := range e.loops {
		// Before the others: a delivery that is counted has its time set.
		t.delivered += l.live.delivered.Load()
		t.moved += l.live.moved.Load()
		t.heard += l.live.heard.Load()
		t.returned += l.live.returned.Load()
		t.cut += l.live.cut.Load()
		t.away += l.live.away.Load()
		t.up += l.live.up.Load()
		t.moversUp += l.live.moversUp.Load()
		t.leaving += l.live.leaving.Load()
		t.settled += l.live.settled.Load()
		t.ready += l.live.ready.Load()
		t.lost += l.live.lost.Load()
		t.open += l.live.open.Load()
		t.latest = max(t.latest, l.live.latest.Load())
	}
	return t
}

// wait returns nil once done says so of the totals, which it is asked whenever
// they change; errQuiet when they did not change for quiet; the context's
// error; or a loop's.
func (e *engine) wait(ctx context.Context, quiet time.Duration, done func(totals) bool) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var before totals
	for {
		t := e.totals()
		if done(t) {
			return nil
		}
		if t != before {
			before = t
			timer.Reset(quiet)
		}
		select {
		case <-e.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.dead:
			return e.fault
		case <-timer.C:
			return errQuiet
		}
	}
}

// each runs fn on every loop's goroutine, one loop after the other, and waits.
// It returns early when a loop has failed.
func (e *engine) each(fn func(l *loop)) error {
	// With room for one, a loop that answers too late is not held up.
	ran := make(chan struct{}, 1)
	for _, l := range e.loops {
		if !l.reactor.Post(func() { fn(l); ran <- struct{}{} }) {
			return errors.New("event loop is closed")
		}
		select {
		case <-ran:
		case <-e.dead:
			return e.fault
		}
	}
	return nil
}

// connect opens all clients and waits until each is ready or has failed.
func (e *engine) connect(ctx context.Context) error {
	return e.ramp(ctx, e.plan.Connections, e.plan.ConnectRate)
}

// pacing has the loops look at their paces often, until the function that it
// returns is called.
func (e *engine) pacing() (done func()) {
	e.order(order{Do: doPace, On: true})
	return func() { e.order(order{Do: doPace}) }
}

// ramp opens clients, or closes the last ones, until there are target, and
// waits until each is ready, gone or has failed.
func (e *engine) ramp(ctx context.Context, target int, rate float64) error {
	defer e.pacing()()
	a, err := e.order(order{Do: doRamp, Target: target, Rate: rate})
	if err != nil {
		return err
	}
	// Every connect has its own timeout; with a slow pace nothing may happen
	// for longer than that.
	quiet := e.plan.Timeout + 10*time.Second
	if rate > 0 {
		quiet += time.Duration(float64(time.Second) * float64(e.plan.parts()) / rate)
	}
	return e.wait(ctx, quiet, func(t totals) bool { return t.settled >= a.Settled && t.leaving == 0 })
}

// leave closes all clients politely and waits for their servers, no longer
// than closeWait without progress.
func (e *engine) leave(ctx context.Context) error {
	if _, err := e.order(order{Do: doLeave}); err != nil {
		return err
	}
	err := e.wait(ctx, closeWait, func(t totals) bool { return t.open == 0 })
	if errors.Is(err, errQuiet) {
		return nil
	}
	return err
}

// gather sums up this process's loops, with their latencies since the last
// time.
func (e *engine) gather() (*snapshot, error) {
	s := newSnapshot()
	err := e.each(func(l *loop) {
		l.counters.Away = l.front.stranded(e.now())
		l.show()
		s.Counters.add(&l.counters)
		s.Failures.merge(l.failures)
		s.Retries.merge(l.retries)
		s.Losses.merge(l.losses)
		s.Deferrals.merge(l.deferrals)
		s.Cuts.merge(l.cuts)
		s.meet(l.front.name)
		s.Addresses = addAddresses(s.Addresses, l.addresses)
		s.Errors.merge(l.errors)
		s.Slow.merge(l.slowLosses)
		s.Busy = append(s.Busy, time.Duration(l.busy))
		s.Exact = s.Exact && l.ledger.exact()
		l.recorder.drain(&s.fresh)
	})
	return s, err
}

// collect sums up all loops and moves their latencies into the engine's. With
// an error the sum is what was known last: counters never go back.
func (e *engine) collect() (snapshot, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gather := e.gather
	if e.fleet != nil {
		gather = e.fleet.collect
	}
	s, err := gather()
	s.fresh.copyTo(&e.total)
	s.fresh.copyTo(&e.phase)
	s.fresh.drain(&e.recent)
	if e.fleet == nil && err != nil {
		return e.known, err
	}
	e.known = *s
	return *s, err
}

// owe records that n deliveries take longer than d, which is all that will be
// known of them.
func (e *engine) owe(d time.Duration, n uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range [...]*recorder{&e.total, &e.recent, &e.phase} {
		// In range by the bounds, so there is no error to see.
		_ = r.due.RecordValues(min(max(int64(d), 0), latencyHighest), int64(n))
	}
}

// takePhase returns the latencies collected since its last call.
func (e *engine) takePhase() latencies {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.phase.summary()
	e.phase.reset()
	return l
}

// latencies returns what was collected of the whole run.
func (e *engine) latencies() latencies {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total.summary()
}
