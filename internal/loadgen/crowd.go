package loadgen

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/agent"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// clients are the clients of a run, in this process (client.Engine) or in others
// (agent.Fleet). The methods may be called from any goroutine, but for Close.
type clients interface {
	// Execute returns at once: the effect of a command shows in the totals.
	Execute(client.Command) (client.Answer, error)
	// Collect returns the counters, with the latencies since the last time.
	// With an error the sum is not whole.
	Collect() (*client.Snapshot, error)
	// Totals returns the totals of the last moment.
	Totals() account.Totals
	// CPUs is how many CPUs they can use.
	CPUs() int
	// Close cuts the connections and waits for all goroutines.
	Close()
}

// crowd commands the clients of a run, waits for them and keeps their latencies.
type crowd struct {
	clients
	plan    *plan.Plan
	clock   client.Clock
	signals *client.Signals

	// Guarded by mu
	mu     sync.Mutex
	total  account.Recorder // of the whole run
	recent account.Recorder // since the last takeRecent
	phase  account.Recorder // since the last takePhase
	known  client.Snapshot  // the last that was whole
}

// newCrowd starts the engine of a plan, or the other processes that it names;
// close stops them.
func newCrowd(ctx context.Context, p *plan.Plan) (c *crowd, err error) {
	c = &crowd{plan: p, clock: client.NewClock(0), signals: client.NewSignals(), total: account.NewRecorder(), recent: account.NewRecorder(), phase: account.NewRecorder(), known: *client.NewSnapshot()}
	if len(p.AgentLines()) > 0 {
		c.clients, err = agent.New(ctx, p, c.clock, c.signals)
		return c, err
	}
	e, err := client.New(p, c.clock, c.signals)
	if err != nil {
		return nil, err
	}
	c.clients = e
	return c, e.Start()
}

func (c *crowd) now() int64 { return c.clock.Now() }

// errQuiet says that nothing happened for too long.
var errQuiet = errors.New("nothing arrived for too long")

// wait returns nil once done says so of the totals, which it is asked whenever
// they change; errQuiet when they did not change for quiet; the context's
// error; or a failure of the engine or the fleet.
func (c *crowd) wait(ctx context.Context, quiet time.Duration, done func(account.Totals) bool) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var before account.Totals
	for {
		t := c.Totals()
		if done(t) {
			return nil
		}
		if t != before {
			before = t
			timer.Reset(quiet)
		}
		select {
		case <-c.signals.Wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.signals.Dead:
			return c.signals.Fault
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
	case <-c.signals.Dead:
		return c.signals.Fault
	}
}

// do gives a command that has no answer.
func (c *crowd) do(o client.Command) error {
	_, err := c.Execute(o)
	return err
}

// ramp opens clients, or closes the last ones, until there are target, and
// waits until each is ready, gone or has failed.
func (c *crowd) ramp(ctx context.Context, target int, rate float64) error {
	a, err := c.Execute(client.Command{Do: client.DoRamp, Target: target, Rate: rate})
	if err != nil {
		return err
	}
	// Every connect has its own timeout; with a slow pace nothing may happen
	// for longer than that.
	quiet := c.plan.Timeout + 10*time.Second
	if rate > 0 {
		quiet += time.Duration(float64(time.Second) * float64(c.plan.Parts()) / rate)
	}
	return c.wait(ctx, quiet, func(t account.Totals) bool { return t.Settled >= a.Settled && t.Leaving == 0 })
}

// leave closes all clients politely and waits for their servers, no longer
// than closeWait without progress.
func (c *crowd) leave(ctx context.Context) error {
	if err := c.do(client.Command{Do: client.DoLeave}); err != nil {
		return err
	}
	err := c.wait(ctx, client.CloseWait, func(t account.Totals) bool { return t.Open == 0 })
	if errors.Is(err, errQuiet) {
		return nil
	}
	return err
}

// collect sums up all clients and keeps their latencies. With an error the sum
// is the last that was known: counters never go back.
func (c *crowd) collect() (client.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.clients.Collect()
	s.Fresh.CopyTo(&c.total)
	s.Fresh.CopyTo(&c.phase)
	s.Fresh.Drain(&c.recent)
	if _, own := c.clients.(*client.Engine); own && err != nil {
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
	for _, r := range [...]*account.Recorder{&c.total, &c.recent, &c.phase} {
		// In range by the bounds, so there is no error to see.
		_ = r[account.OfDelivery].RecordValues(min(max(int64(d), 0), account.LatencyHighest), int64(n))
	}
}

// takePhase returns the latencies collected since its last call.
func (c *crowd) takePhase() account.Latencies {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.phase.Summary()
	c.phase.Reset()
	return l
}

// latencies summarizes the whole run.
func (c *crowd) latencies() account.Latencies {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total.Summary()
}

// takeRecent hands out the latencies recorded since its last call, and forgets them. It returns
// those from the intended send time.
func (c *crowd) takeRecent(hand func(*account.Recorder)) (due account.Latency) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due = account.Summarize(c.recent[account.OfDelivery])
	hand(&c.recent)
	c.recent.Reset()
	return due
}
