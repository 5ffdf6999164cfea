package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Program is a program that this process has started, in a process group of its
// own: an interrupt at the terminal is not for it, and what it starts is ended
// with it. The zero Program is none.
type Program struct {
	// Immutable
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed by the goroutine that waits for the program
	log   *Tail

	// Set before ended is closed
	err error
}

// Start starts cmd; name stands for it in errors. Its outputs are kept for
// errors' texts unless cmd has others. A goroutine waits for the program; Stop
// and Kill end both.
func Start(name string, cmd *exec.Cmd) (*Program, error) {
	p := &Program{name: name, cmd: cmd, ended: make(chan struct{}), log: new(Tail)}
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.log
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = time.Second // for what it leaves behind with its outputs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID returns the program's process id.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Log returns the end of the program's outputs, indented.
func (p *Program) Log() string { return p.log.String() }

// Ended is closed when the program has ended; Err says how it did.
func (p *Program) Ended() <-chan struct{} { return p.ended }

// Err returns how the program has ended, nil for exit status 0. It is called
// after Ended.
func (p *Program) Err() error { return p.err }

// Signal sends a signal to the program's group.
func (p *Program) Signal(s syscall.Signal) error {
	if err := syscall.Kill(-p.PID(), s); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Await waits for the program to end by itself.
func (p *Program) Await(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("%s did not end within %v", p.name, most))
	defer cancel()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stop ends the program politely and waits for it, after grace the hard way.
func (p *Program) Stop(grace time.Duration) {
	select {
	case <-p.ended:
		return
	default:
	}
	if p.Signal(syscall.SIGTERM) != nil || p.Await(context.Background(), grace) != nil {
		p.Kill()
	}
}

// Kill ends the program and waits for it.
func (p *Program) Kill() {
	p.Signal(syscall.SIGKILL) // an error: it has ended
	<-p.ended
}

// Until calls try every few milliseconds until it succeeds, as long as the
// program runs; awaited names what is waited for in its error.
func (p *Program) Until(ctx context.Context, most time.Duration, awaited string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not within %v", most))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-p.ended:
			err = fmt.Errorf("it ended (%w)", errors.Join(p.err, err))
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return fmt.Errorf("%s: %s: %w; it said:\n%s", p.name, awaited, err, p.log)
	}
}

// Tail keeps the end of what is written to it. It may be used by several
// goroutines.
type Tail struct {
	// Guarded by mu
	mu   sync.Mutex
	text []byte
}

// maxTail bounds what a Tail keeps, in bytes.
const maxTail = 4096

func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if n := len(t.text); n > maxTail {
		t.text = append(t.text[:0], t.text[n-maxTail:]...)
	}
	return len(p), nil
}

// String returns the text with its lines indented.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.text))
	if text == "" {
		return "  (nothing)"
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}
