package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// agent is one such process: commands go to its standard input, a JSON object a line, and
// answers are read from its output.
type agent struct {
	// Immutable
	name     string
	local    bool
	patience time.Duration // how long an answer may take
	process  *probe.Program
	stdin    io.Closer
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

// startAgent starts one process. Its goroutines end with it.
func startAgent(i int, line string, patience time.Duration, s *client.Signals) (*agent, error) {
	a := &agent{name: fmt.Sprintf("%d (%s)", i, line), patience: patience, ended: make(chan struct{}), waiting: make(map[int]chan client.Answer), signals: s}
	cmd := exec.Command("/bin/sh", "-c", line)
	if line == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("--agents: find this program: %w", err)
		}
		a.name, a.local = fmt.Sprintf("%d (this host)", i), true
		cmd = exec.Command(self, "agent")
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", a.name, err)
	}
	stdout, written := io.Pipe()
	cmd.Stdout = written
	if a.process, err = probe.Start("agent "+a.name, cmd); err != nil {
		return nil, err
	}
	a.stdin, a.encoder = stdin, json.NewEncoder(stdin)
	go func() {
		<-a.process.Ended()
		written.Close()
	}()
	go a.read(stdout)
	return a, nil
}

// read takes answers until the process ends.
func (a *agent) read(stdout *io.PipeReader) {
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
		line, _, _ := strings.Cut(strings.TrimSpace(string(rest)), "\n")
		err = fmt.Errorf("it does not speak like \"loadgen agent\", but says %q", line)
		stdout.Close()
		a.process.Signal(syscall.SIGKILL)
	} else {
		err = errors.New("it ended")
	}
	<-a.process.Ended()
	if end := a.process.Err(); end != nil {
		err = fmt.Errorf("%w (%v)", err, end)
	}
	a.mu.Lock()
	if a.err = a.lost; a.err == nil {
		a.err = fmt.Errorf("agent %s: %w; it said:\n%s", a.name, err, a.process.Output())
	}
	expected := a.closing
	a.mu.Unlock()
	if !expected {
		a.signals.Fail(a.err)
	}
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

// submit writes a command; the channel receives the answer. A process that does not read is
// given up.
func (a *agent) submit(o client.Command) (chan client.Answer, error) {
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
	stuck := time.AfterFunc(a.patience, func() { a.giveUp() })
	defer stuck.Stop()
	a.sending.Lock()
	err := a.encoder.Encode(o)
	a.sending.Unlock()
	if err == nil {
		return reply, nil
	}
	a.mu.Lock()
	delete(a.waiting, o.ID)
	a.mu.Unlock()
	select {
	case <-a.ended:
		return nil, a.err // which says more
	case <-time.After(time.Second):
		return nil, fmt.Errorf("agent %s: %w", a.name, err)
	}
}

// giveUp kills a process that does not answer: present and later waits for it fail at once.
func (a *agent) giveUp() error {
	a.mu.Lock()
	if a.lost == nil {
		a.lost = fmt.Errorf("agent %s: no answer within %v, given up; it said:\n%s", a.name, a.patience, a.process.Output())
	}
	lost := a.lost
	a.mu.Unlock()
	a.process.Signal(syscall.SIGKILL) // an error: it has ended
	a.signals.Fail(lost)
	return lost
}

// await waits for an answer, which may have arrived already.
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
