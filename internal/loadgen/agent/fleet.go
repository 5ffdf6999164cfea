// Package agent holds the clients of a run in other processes: a Fleet starts
// these and commands them, Serve is the part of each of them.
package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// Fleet is the other processes that hold a run's clients. Process k of n holds
// the clients k, k+n, k+2n, ...
type Fleet struct {
	clock    client.Clock
	agents   []*agent
	reach    int           // CPUs of all hosts
	patience time.Duration // the agents'
}

// agent is one such process: commands go to its standard input, a JSON object a
// line, and answers come from its output.
type agent struct {
	// Immutable
	name     string
	local    bool
	patience time.Duration // how long an answer may take
	process  *exec.Cmd
	stdin    io.Closer
	said     *probe.Tail   // the end of its standard error
	ended    chan struct{} // closed by the reader's goroutine, after err was set
	signals  *client.Signals

	// Owned by whoever starts and ends the fleet
	cpus   int
	clock  clockReading
	result result.Agent

	// Guarded by the engine's mu
	known *client.Snapshot // the last that it sent; its latencies were taken out

	// Guarded by sending, which is held while a process does not read
	sending sync.Mutex
	encoder *json.Encoder

	// Guarded by mu
	mu      sync.Mutex
	next    int
	waiting map[int]chan client.Answer // sent to by the reader, room for one
	totals  account.Totals
	closing bool
	lost    error // why it was given up
	err     error // how it ended
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
		if _, err := a.do(ctx, client.Command{Do: client.DoStart, Config: &own, Key: p.SigningKey, CA: p.CAData, Run: p.RunID, Offset: a.clock.correction(), Proxy: p.Proxy}); err != nil {
			f.Close()
			return nil, err
		}
		a.result = result.Agent{Name: a.name, Clients: p.ShareOf(i, len(lines)), Corrected: a.clock.correction() != 0,
			Offset: float64(a.clock.offset) / 1e6, Uncertainty: float64(a.clock.uncertainty) / 1e6}
	}
	return f, nil
}

// startAgent starts one process. The reader's goroutine ends with it.
func startAgent(i int, line string, patience time.Duration, s *client.Signals) (*agent, error) {
	a := &agent{name: fmt.Sprintf("%d (%s)", i, line), patience: patience, said: &probe.Tail{}, ended: make(chan struct{}), waiting: make(map[int]chan client.Answer), signals: s}
	if line == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("--agents: find this program: %w", err)
		}
		a.name, a.local = fmt.Sprintf("%d (this host)", i), true
		a.process = exec.Command(self, "agent")
	} else {
		a.process = exec.Command("/bin/sh", "-c", line)
	}
	// A group of its own: an interrupt at the terminal is for this process,
	// which still wants their figures.
	a.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a.process.Stderr = a.said
	a.process.WaitDelay = time.Second
	stdin, err := a.process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", a.name, err)
	}
	stdout, err := a.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", a.name, err)
	}
	if err := a.process.Start(); err != nil {
		return nil, fmt.Errorf("agent %s: %w", a.name, err)
	}
	a.stdin, a.encoder = stdin, json.NewEncoder(stdin)
	go a.read(stdout)
	return a, nil
}

// read takes answers until the process ends.
func (a *agent) read(stdout io.Reader) {
	defer close(a.ended)
	d := json.NewDecoder(stdout)
	var err error
	for err == nil {
		var x client.Answer
		if err = d.Decode(&x); err == nil {
			a.take(x)
		}
	}
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		rest, _ := io.ReadAll(io.LimitReader(io.MultiReader(d.Buffered(), stdout), 200))
		err = fmt.Errorf("it does not speak like \"loadgen agent\", but says %q", firstLine(rest))
		syscall.Kill(-a.process.Process.Pid, syscall.SIGKILL) // a shell's child too
	} else {
		err = errors.New("it ended")
	}
	if end := a.process.Wait(); end != nil {
		err = fmt.Errorf("%w (%v)", err, end)
	}
	a.mu.Lock()
	if a.err = a.lost; a.err == nil {
		a.err = fmt.Errorf("agent %s: %w; it said:\n%s", a.name, err, a.said)
	}
	expected := a.closing
	a.mu.Unlock()
	if !expected {
		a.signals.Fail(a.err)
	}
}

func firstLine(p []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(p)), "\n")
	return line
}

func (a *agent) take(x client.Answer) {
	a.mu.Lock()
	if x.Totals != nil {
		a.totals = *x.Totals
	}
	if x.ID == 0 && x.Error != "" {
		a.mu.Unlock()
		a.signals.Fail(fmt.Errorf("agent %s: %s", a.name, x.Error))
		return
	}
	reply := a.waiting[x.ID]
	delete(a.waiting, x.ID)
	a.mu.Unlock()
	if reply != nil {
		reply <- x
	}
	if x.Totals != nil {
		a.signals.Notify()
	}
}

// send gives a command; the answer comes over the channel.
func (a *agent) send(o client.Command) (chan client.Answer, error) {
	reply := make(chan client.Answer, 1)
	a.mu.Lock()
	if a.lost != nil {
		defer a.mu.Unlock()
		return nil, a.lost
	}
	a.next++
	o.ID = a.next
	a.waiting[o.ID] = reply
	a.mu.Unlock()
	a.sending.Lock()
	defer a.sending.Unlock()
	if err := a.encoder.Encode(o); err != nil {
		a.mu.Lock()
		delete(a.waiting, o.ID)
		a.mu.Unlock()
		return nil, fmt.Errorf("agent %s: %w", a.name, err)
	}
	return reply, nil
}

// submit is send with a better word for a process that has ended. One that
// does not read is given up.
func (a *agent) submit(o client.Command) (chan client.Answer, error) {
	stuck := time.AfterFunc(a.patience, func() { a.giveUp() })
	reply, err := a.send(o)
	stuck.Stop()
	if err == nil {
		return reply, nil
	}
	select {
	case <-a.ended:
		return nil, a.err
	case <-time.After(time.Second):
		return nil, err
	}
}

// giveUp kills a process that does not answer: whoever waits for it, now or
// later, is told at once.
func (a *agent) giveUp() error {
	a.mu.Lock()
	if a.lost == nil {
		a.lost = fmt.Errorf("agent %s: no answer within %v, given up; it said:\n%s", a.name, a.patience, a.said)
	}
	lost := a.lost
	a.mu.Unlock()
	syscall.Kill(-a.process.Process.Pid, syscall.SIGKILL)
	a.signals.Fail(lost)
	return lost
}

// await waits for an answer, which may have come already.
func (a *agent) await(ctx context.Context, reply chan client.Answer, most time.Duration) (x client.Answer, err error) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case x = <-reply:
	case <-a.ended:
		return x, a.err
	case <-ctx.Done():
		return x, ctx.Err()
	case <-t.C:
		select {
		case x = <-reply:
		default:
			return x, a.giveUp()
		}
	}
	switch {
	case x.Usage:
		return x, &plan.UsageError{Flag: "agent " + a.name, Want: x.Error}
	case x.Error != "":
		return x, fmt.Errorf("agent %s: %s", a.name, x.Error)
	}
	return x, nil
}

func (a *agent) do(ctx context.Context, o client.Command) (client.Answer, error) {
	reply, err := a.submit(o)
	if err != nil {
		return client.Answer{}, err
	}
	return a.await(ctx, reply, a.patience)
}

// Execute gives a command to all and merges their answers. The error tells of
// all that did not do it.
func (f *Fleet) Execute(o client.Command) (sum client.Answer, err error) {
	replies := make([]chan client.Answer, len(f.agents))
	o.Rate /= float64(len(f.agents))
	for i, a := range f.agents {
		if replies[i], err = a.submit(o); err != nil {
			return sum, err
		}
	}
	until := time.Now().Add(f.patience)
	for i, a := range f.agents {
		x, failed := a.await(context.Background(), replies[i], time.Until(until))
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		sum.Merge(&x)
	}
	return sum, err
}

// Collect sums up the counters of all. Of a process that does not answer it
// takes the last ones, and returns why beside the sum.
func (f *Fleet) Collect() (*client.Snapshot, error) {
	replies, errs := make([]chan client.Answer, len(f.agents)), make([]error, len(f.agents))
	for i, a := range f.agents {
		replies[i], errs[i] = a.submit(client.Command{Do: client.DoCollect})
	}
	sum, until := client.NewSnapshot(), time.Now().Add(f.patience)
	for i, a := range f.agents {
		var x client.Answer
		if errs[i] == nil {
			x, errs[i] = a.await(context.Background(), replies[i], time.Until(until))
		}
		if errs[i] == nil && x.Snapshot != nil {
			a.known = x.Snapshot
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
		select {
		case <-a.ended:
		case <-time.After(5 * time.Second):
			syscall.Kill(-a.process.Process.Pid, syscall.SIGKILL)
			<-a.ended
		}
	}
}

// clockRounds is how many readings are taken; the quickest counts.
const clockRounds = 9

// clockReading is how far another process's clock is ahead of this one's, in
// ns, with half of the round trip as the doubt about it.
type clockReading struct{ offset, uncertainty int64 }

// correction is to be taken off the other clock: nothing if the offset may
// as well come from the way there and back.
func (c clockReading) correction() int64 {
	if max(c.offset, -c.offset) <= c.uncertainty {
		return 0
	}
	return c.offset
}

// readClock compares a clock with this process's, as NTP does: the other was
// read in the middle of the round trip, give or take half of it.
func readClock(now func() int64, remote func() (int64, error)) (c clockReading, err error) {
	c.uncertainty = 1<<63 - 1
	for range clockRounds {
		sent := now()
		there, err := remote()
		if err != nil {
			return c, err
		}
		if half := (now() - sent) / 2; half < c.uncertainty {
			c = clockReading{offset: there - sent - half, uncertainty: half}
		}
	}
	return c, nil
}

// greet waits for a process to be there, and compares the clocks.
func (a *agent) greet(ctx context.Context, now func() int64) error {
	reply, err := a.submit(client.Command{Do: client.DoClock})
	if err != nil {
		return err
	}
	first, err := a.await(ctx, reply, agentGreeting)
	if err != nil {
		return err
	}
	if first.Schema != result.Schema {
		return fmt.Errorf("agent %s: it is of another version: %q and not %q", a.name, first.Schema, result.Schema)
	}
	a.cpus = first.CPUs
	a.clock, err = a.compareClock(ctx, now)
	return err
}

func (a *agent) compareClock(ctx context.Context, now func() int64) (clockReading, error) {
	return readClock(now, func() (int64, error) {
		x, err := a.do(ctx, client.Command{Do: client.DoClock})
		return x.Now, err
	})
}

// Results lists the processes, with their clocks compared again.
func (f *Fleet) Results(ctx context.Context) (all []result.Agent) {
	for _, a := range f.agents {
		if c, err := a.compareClock(ctx, f.clock.Now); err == nil {
			// The clock runs with its correction now.
			a.result.Drift = float64(c.offset+a.clock.correction()-a.clock.offset) / 1e6
		}
		all = append(all, a.result)
	}
	return all
}
