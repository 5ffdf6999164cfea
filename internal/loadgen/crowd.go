package loadgen

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// clients are the clients of a run, in this process (engine) or in others (fleet).
// The methods may be called from any goroutine, but for close.
type clients interface {
	// order returns at once: what clients do after it shows in the totals.
	order(order) (answer, error)
	// collect returns what was counted, with the latencies since the last time.
	collect() (*snapshot, error)
	// totals returns what was shown last.
	totals() totals
	// cpus is how many CPUs they can use.
	cpus() int
	// close cuts the connections and waits for all goroutines.
	close()
}

// crowd commands the clients of a run, waits for them and keeps their latencies.
type crowd struct {
	clients
	plan    *plan
	clock   clock
	signals *signals

	// Guarded by mu
	mu     sync.Mutex
	total  recorder // of the whole run
	recent recorder // since the last takeRecent
	phase  recorder // since the last takePhase
	known  snapshot // the last that was whole
}

// newCrowd starts the engine of a plan, or the other processes that it names;
// close stops them.
func newCrowd(ctx context.Context, p *plan) (c *crowd, err error) {
	c = &crowd{plan: p, clock: newClock(0), signals: newSignals(), total: newRecorder(), recent: newRecorder(), phase: newRecorder(), known: *newSnapshot()}
	if len(p.agentCommands()) > 0 {
		c.clients, err = newFleet(ctx, p, c.clock, c.signals)
		return c, err
	}
	e, err := newEngine(p, c.clock, c.signals)
	if err != nil {
		return nil, err
	}
	c.clients = e
	return c, e.start()
}

func (c *crowd) now() int64 { return c.clock.now() }

// errQuiet says that nothing happened for too long.
var errQuiet = errors.New("nothing arrived for too long")

// wait returns nil once done says so of the totals, which it is asked whenever
// they change; errQuiet when they did not change for quiet; the context's
// error; or a failure of who holds the clients.
func (c *crowd) wait(ctx context.Context, quiet time.Duration, done func(totals) bool) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var before totals
	for {
		t := c.totals()
		if done(t) {
			return nil
		}
		if t != before {
			before = t
			timer.Reset(quiet)
		}
		select {
		case <-c.signals.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.signals.dead:
			return c.signals.fault
		case <-timer.C:
			return errQuiet
		}
	}
}

// sleep waits for a time, but no longer than until stop is closed.
func (c *crowd) sleep(ctx context.Context, d time.Duration, stop <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-stop:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.signals.dead:
		return c.signals.fault
	}
}

// do gives an order that has no answer.
func (c *crowd) do(o order) error {
	_, err := c.order(o)
	return err
}

// pacing has the clients look at their paces often, until the function that it
// returns is called.
func (c *crowd) pacing() (done func()) {
	c.order(order{Do: doPace, On: true})
	return func() { c.order(order{Do: doPace}) }
}

// ramp opens clients, or closes the last ones, until there are target, and
// waits until each is ready, gone or has failed.
func (c *crowd) ramp(ctx context.Context, target int, rate float64) error {
	defer c.pacing()()
	a, err := c.order(order{Do: doRamp, Target: target, Rate: rate})
	if err != nil {
		return err
	}
	// Every connect has its own timeout; with a slow pace nothing may happen
	// for longer than that.
	quiet := c.plan.Timeout + 10*time.Second
	if rate > 0 {
		quiet += time.Duration(float64(time.Second) * float64(c.plan.parts()) / rate)
	}
	return c.wait(ctx, quiet, func(t totals) bool { return t.Settled >= a.Settled && t.Leaving == 0 })
}

// leave closes all clients politely and waits for their servers, no longer
// than closeWait without progress.
func (c *crowd) leave(ctx context.Context) error {
	if err := c.do(order{Do: doLeave}); err != nil {
		return err
	}
	err := c.wait(ctx, closeWait, func(t totals) bool { return t.Open == 0 })
	if errors.Is(err, errQuiet) {
		return nil
	}
	return err
}

// collect sums up all clients and keeps their latencies. With an error the sum
// is the last that was known: counters never go back.
func (c *crowd) collect() (snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.clients.collect()
	s.fresh.copyTo(&c.total)
	s.fresh.copyTo(&c.phase)
	s.fresh.drain(&c.recent)
	if _, own := c.clients.(*engine); own && err != nil {
		return c.known, err
	}
	c.known = *s
	return *s, err
}

// owe records that n deliveries take longer than d, which is all that will be
// known of them.
func (c *crowd) owe(d time.Duration, n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range [...]*recorder{&c.total, &c.recent, &c.phase} {
		// In range by the bounds, so there is no error to see.
		_ = r[ofDelivery].RecordValues(min(max(int64(d), 0), latencyHighest), int64(n))
	}
}

// takePhase returns the latencies collected since its last call.
func (c *crowd) takePhase() latencies {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.phase.summary()
	c.phase.reset()
	return l
}

// latencies returns those of the whole run.
func (c *crowd) latencies() latencies {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total.summary()
}

// takeRecent hands out the latencies recorded since its last call, where there
// are any, and forgets them. It returns those from the intended send time.
func (c *crowd) takeRecent(hand func(map[string]*hdrhistogram.Histogram)) (due Latency) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.recent
	due = summarize(r[ofDelivery])
	if hand != nil {
		named := make(map[string]*hdrhistogram.Histogram)
		for i, h := range r {
			if h.TotalCount() > 0 {
				named[latencyNames[i]] = h
			}
		}
		if len(named) > 0 {
			hand(named)
		}
	}
	r.reset()
	return due
}
