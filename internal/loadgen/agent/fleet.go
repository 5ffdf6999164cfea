// Package agent holds the clients of a run in other processes: a Fleet starts
// these and commands them, Serve is the part of each of them.
package agent

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// Fleet is the other processes that hold a run's clients. Process k of n holds
// the clients k, k+n, k+2n, ...
type Fleet struct {
	clock    client.Clock
	agents   []*agent
	reach    int           // CPUs of all hosts
	patience time.Duration // the agents'
}

const (
	// agentGreeting is how long a process may take to answer for the first
	// time; ssh needs seconds.
	agentGreeting = 30 * time.Second
	// agentAnswer is how long any later answer may take.
	agentAnswer = 30 * time.Second
)

// New starts the processes of a plan and gives them their shares. It
// closes the processes that it has started when it fails.
func New(ctx context.Context, p *plan.Plan, c client.Clock, s *client.Signals) (*Fleet, error) {
	f := &Fleet{clock: c, reach: runtime.GOMAXPROCS(0), patience: cmp.Or(p.AgentPatience, agentAnswer)}
	lines := p.AgentLines()
	for i, line := range lines {
		a, err := startAgent(i, line, f.patience, s)
		if err == nil {
			f.agents = append(f.agents, a)
			err = a.greet(ctx, c.Now)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		if !a.local {
			f.reach += a.cpus
		}
	}
	config := p.Config
	config.Members = len(lines)
	config.InFlight = max(p.InFlight/len(lines), 1)
	config.Agents, config.AgentCommands = 0, nil
	for i, a := range f.agents {
		config.Member = i
		own := config
		if _, err := a.do(ctx, client.Command{Do: client.DoStart, Config: &own, Key: p.KeyData, CA: p.CAData, Run: p.RunID, Offset: a.clock.correction(), Proxy: p.Proxy}); err != nil {
			f.Close()
			return nil, err
		}
		a.result = result.Agent{Name: a.name, Clients: plan.Share(p.Connections, i, len(lines)), Corrected: a.clock.correction() != 0,
			Offset: float64(a.clock.offset) / 1e6, Uncertainty: float64(a.clock.uncertainty) / 1e6}
	}
	return f, nil
}

// all gives a command to all and returns their answers or errors.
func (f *Fleet) all(o client.Command) ([]client.Answer, []error) {
	replies, errs := make([]chan client.Answer, len(f.agents)), make([]error, len(f.agents))
	for i, a := range f.agents {
		replies[i], errs[i] = a.submit(o)
	}
	answers, until := make([]client.Answer, len(f.agents)), time.Now().Add(f.patience)
	for i, a := range f.agents {
		if errs[i] == nil {
			answers[i], errs[i] = a.await(context.Background(), replies[i], time.Until(until))
		}
	}
	return answers, errs
}

// Execute gives a command to all and merges their answers. The error names all that did not
// execute it.
func (f *Fleet) Execute(o client.Command) (sum client.Answer, err error) {
	o.Rate /= float64(len(f.agents))
	answers, errs := f.all(o)
	for i := range answers {
		if errs[i] == nil {
			sum.Merge(&answers[i])
		}
	}
	return sum, errors.Join(errs...)
}

// Collect sums up the counters of all. Of a process that does not answer it
// takes the last ones, and returns why beside the sum.
func (f *Fleet) Collect() (*client.Snapshot, error) {
	answers, errs := f.all(client.Command{Do: client.DoCollect})
	sum := client.NewSnapshot()
	for i, a := range f.agents {
		if answers[i].Snapshot != nil {
			a.known = answers[i].Snapshot
		}
		if a.known != nil {
			sum.Add(a.known)
		}
	}
	return sum, errors.Join(errs...)
}

// Totals sums up the processes' last totals.
func (f *Fleet) Totals() (t account.Totals) {
	for _, a := range f.agents {
		a.mu.Lock()
		t.Add(&a.totals)
		a.mu.Unlock()
	}
	return t
}

// CPUs is how many CPUs the processes can use.
func (f *Fleet) CPUs() int { return f.reach }

// Close ends all processes and waits for them.
func (f *Fleet) Close() {
	for _, a := range f.agents {
		a.mu.Lock()
		a.closing = true
		a.mu.Unlock()
		a.stdin.Close() // they end when their input does
	}
	for _, a := range f.agents {
		if a.process.Await(context.Background(), 5*time.Second) != nil {
			a.process.Kill()
		}
		<-a.ended
	}
}
