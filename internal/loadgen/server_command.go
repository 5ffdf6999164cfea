package loadgen

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a gateway that the run has started may take to end.
const stopGrace = 10 * time.Second

// serverCommand is a gateway that the run starts itself, so that it can
// restart it. It is used by one goroutine.
type serverCommand struct {
	line   string
	target Target

	process *exec.Cmd
	output  *lastLines
	ended   chan struct{} // closed by the goroutine that waits for the process
	err     error         // how it ended, after ended
}

// launch starts --server-cmd and waits until it takes connections.
func launch(ctx context.Context, c Config) (*serverCommand, error) {
	t, err := ParseTarget(ctx, c.URL)
	if err != nil {
		return nil, &UsageError{Flag: "--url", Value: printableURL(c.URL), Want: err.Error()}
	}
	if !t.isLocal() {
		return nil, &UsageError{Flag: "--server-cmd", Want: "starts a gateway on this host, but --url is another one"}
	}
	if t.dial(ctx, time.Second) == nil {
		return nil, &UsageError{Flag: "--server-cmd", Want: fmt.Sprintf("something listens on %v already; the run starts and stops the gateway itself", &t)}
	}
	s := &serverCommand{line: c.ServerCmd, target: t}
	if err := s.start(ctx, c.Timeout); err != nil {
		return nil, fmt.Errorf("--server-cmd: %w", err)
	}
	return s, nil
}

// assignment is how a variable before a command starts.
var assignment = regexp.MustCompile(`^\s*[A-Za-z_][A-Za-z0-9_]*=`)

// replaceShell has the gateway take the shell's place: signals and the end of
// the process must be its own, and not those of a shell around it.
func replaceShell(line string) string {
	if assignment.MatchString(line) {
		return "exec env " + line
	}
	return "exec " + line
}

// start runs the command in a process group of its own. Its goroutine ends
// with the process.
func (s *serverCommand) start(ctx context.Context, timeout time.Duration) error {
	s.output = &lastLines{}
	s.process = exec.Command("/bin/sh", "-c", replaceShell(s.line))
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.process.Stdout, s.process.Stderr = s.output, s.output
	s.process.WaitDelay = time.Second
	if err := s.process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		s.err = s.process.Wait()
		close(ended)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	for {
		if s.target.dial(ctx, time.Second) == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("it ended at once (%v); it said:\n%s", s.err, s.output)
		case <-limit.C:
			s.stop(0)
			return fmt.Errorf("nothing listens on %v after %v: does it listen where --url aims at? It said:\n%s", &s.target, timeout, s.output)
		case <-ctx.Done():
			s.stop(0)
			return ctx.Err()
		}
	}
}

// signals are the ways to stop it.
var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}

func (s *serverCommand) signal(name string) error {
	if err := syscall.Kill(-s.process.Process.Pid, signals[name]); err != nil {
		return fmt.Errorf("signal the gateway: %w", err)
	}
	return nil
}

// wait waits for the end of the process.
func (s *serverCommand) wait(ctx context.Context, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return fmt.Errorf("it did not end within %v", most)
	}
}

// stop ends the process, at last the hard way.
func (s *serverCommand) stop(grace time.Duration) {
	select {
	case <-s.ended:
		return
	default:
	}
	if grace > 0 && s.signal("TERM") == nil && s.wait(context.Background(), grace) == nil {
		return
	}
	if err := s.signal("KILL"); !errors.Is(err, syscall.ESRCH) {
		<-s.ended
	}
}

// lastLines keeps the end of what a process writes.
type lastLines struct {
	mu   sync.Mutex
	text []byte
}

// maxLastLines bounds what is kept.
const maxLastLines = 4096

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if n := len(l.text); n > maxLastLines {
		l.text = append(l.text[:0], l.text[n-maxLastLines:]...)
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) == 0 {
		return "  (nothing)"
	}
	return "  " + strings.ReplaceAll(strings.TrimSpace(string(l.text)), "\n", "\n  ")
}
