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

// send writes a command; the channel receives the answer.
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

// giveUp kills a process that does not answer: present and later waits for it fail at once.
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
