package loadgen

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

	"github.com/pushgate/pushgate/internal/probe"
)

// fleet is the other processes that hold a run's clients. Process k of n holds
// the clients k, k+n, k+2n, ...
type fleet struct {
	agents   []*agent
	cpus     int           // of all hosts
	patience time.Duration // the agents'
}

// agent is one such process: orders go to its standard input, a JSON object a
// line, and answers come from its output.
type agent struct {
	// Immutable
	name     string
	local    bool
	patience time.Duration // how long an answer may take
	process  *exec.Cmd
	stdin    io.Closer
	said     *probe.Tail   // what it wrote to standard error
	ended    chan struct{} // closed by the reader's goroutine, after err was set
	fail     func(error)
	wake     func()

	// Owned by whoever starts and ends the fleet
	cpus   int
	clock  clockReading
	result Agent

	// Guarded by the engine's mu
	known *snapshot // the last that it sent; its latencies were taken out

	// Guarded by sending, which is held while a process does not read
	sending sync.Mutex
	encoder *json.Encoder

	// Guarded by mu
	mu      sync.Mutex
	next    int
	waiting map[int]chan answer // sent to by the reader, room for one
	totals  totals
	closing bool
	lost    error // why it was given up
	err     error // how it ended
}

// Agent is one process that held clients.
type Agent struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
	// Offset is how far its clock was ahead of this one's, as exactly as half
	// the quickest round trip tells. It was taken off if it was more than that.
	Offset      float64 `json:"clock_offset_ms"`
	Uncertainty float64 `json:"clock_uncertainty_ms"`
	Corrected   bool    `json:"clock_corrected"`
	// Drift is by how much that changed until the end of the run.
	Drift float64 `json:"clock_drift_ms"`
}

const (
	// agentGreeting is how long a process may take to answer for the first
	// time; ssh needs seconds.
	agentGreeting = 30 * time.Second
	// agentAnswer is how long any later answer may take.
	agentAnswer = 30 * time.Second
)

// newFleet starts the processes of a plan and gives them their shares. It
// closes what it has started when it fails.
func newFleet(ctx context.Context, p *plan, e *engine) (*fleet, error) {
	f := &fleet{cpus: runtime.GOMAXPROCS(0), patience: cmp.Or(p.agentAnswer, agentAnswer)}
	lines := p.agentCommands()
	for i, line := range lines {
		a, err := startAgent(i, line, f.patience, e)
		if err == nil {
			f.agents = append(f.agents, a)
			err = a.greet(ctx, e.now)
		}
		if err != nil {
			f.close()
			return nil, err
		}
		if !a.local {
			f.cpus += a.cpus
		}
	}
	config := p.Config
	config.Members = len(lines)
	config.InFlight = max(p.InFlight/len(lines), 1)
	config.Agents, config.AgentCommands = 0, nil
	for i, a := range f.agents {
		config.Member = i
		own := config
		if _, err := a.do(ctx, order{Do: doStart, Config: &own, Key: p.key, CA: p.caData, Run: p.run, Offset: a.clock.correction(), Proxy: p.proxy}); err != nil {
			f.close()
			return nil, err
		}
		a.result = Agent{Name: a.name, Clients: p.shareOf(i, len(lines)), Corrected: a.clock.correction() != 0,
			Offset: float64(a.clock.offset) / 1e6, Uncertainty: float64(a.clock.uncertainty) / 1e6}
	}
	return f, nil
}

// agentCommands lists the command lines of the processes; "" is this program
// on this host.
func (p *plan) agentCommands() []string {
	return append(make([]string, p.Agents), p.AgentCommands...)
}

// startAgent starts one process. The reader's goroutine ends with it.
func startAgent(i int, line string, patience time.Duration, e *engine) (*agent, error) {
	a := &agent{name: fmt.Sprintf("%d (%s)", i, line), patience: patience, said: &probe.Tail{}, ended: make(chan struct{}), waiting: make(map[int]chan answer), fail: e.fail, wake: e.notify}
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
		var x answer
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
		a.fail(a.err)
	}
}

func firstLine(p []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(p)), "\n")
	return line
}

func (a *agent) take(x answer) {
	a.mu.Lock()
	if x.Totals != nil {
		a.totals.read(x.Totals)
	}
	if x.ID == 0 && x.Error != "" {
		a.mu.Unlock()
		a.fail(fmt.Errorf("agent %s: %s", a.name, x.Error))
		return
	}
	reply := a.waiting[x.ID]
	delete(a.waiting, x.ID)
	a.mu.Unlock()
	if reply != nil {
		reply <- x
	}
	if x.Totals != nil {
		a.wake()
	}
}

// send gives an order; the answer comes over the channel.
func (a *agent) send(o order) (chan answer, error) {
	reply := make(chan answer, 1)
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
func (a *agent) submit(o order) (chan answer, error) {
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
	a.fail(lost)
	return lost
}

// await waits for an answer, which may have come already.
func (a *agent) await(ctx context.Context, reply chan answer, most time.Duration) (x answer, err error) {
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
		return x, &UsageError{Flag: "agent " + a.name, Want: x.Error}
	case x.Error != "":
		return x, fmt.Errorf("agent %s: %s", a.name, x.Error)
	}
	if x.Snapshot != nil {
		err = x.Snapshot.unpack()
	}
	return x, err
}

func (a *agent) do(ctx context.Context, o order) (answer, error) {
	reply, err := a.submit(o)
	if err != nil {
		return answer{}, err
	}
	return a.await(ctx, reply, a.patience)
}

// order gives an order to all and merges their answers. The error is that of
// one who did not do it.
func (f *fleet) order(o order) (sum answer, err error) {
	replies := make([]chan answer, len(f.agents))
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
			err = failed // and what hangs beside it is found out as well
			continue
		}
		sum.merge(&x)
	}
	return sum, err
}

// collect sums up what all have counted. Of a process that does not answer it
// takes what it said last, and returns why beside the sum.
func (f *fleet) collect() (*snapshot, error) {
	replies, errs := make([]chan answer, len(f.agents)), make([]error, len(f.agents))
	for i, a := range f.agents {
		replies[i], errs[i] = a.submit(order{Do: doCollect})
	}
	sum, until := newSnapshot(), time.Now().Add(f.patience)
	for i, a := range f.agents {
		var x answer
		if errs[i] == nil {
			x, errs[i] = a.await(context.Background(), replies[i], time.Until(until))
		}
		if errs[i] == nil && x.Snapshot != nil {
			a.known = x.Snapshot
		}
		if a.known != nil {
			sum.add(a.known)
		}
	}
	return sum, errors.Join(errs...)
}

// totals sums up what the processes said last.
func (f *fleet) totals() (t totals) {
	for _, a := range f.agents {
		a.mu.Lock()
		t.add(&a.totals)
		a.mu.Unlock()
	}
	return t
}

// close ends all processes and waits for them.
func (f *fleet) close() {
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
