package loadgen

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
)

// stopGrace is how long a gateway that the run has started may take to end.
const stopGrace = 10 * time.Second

// signals are the ways to stop it.
var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}

// Launch starts the gateway of ServerCmd and waits until it listens at the
// target; stop ends it and waits. It refuses where something listens already.
func Launch(ctx context.Context, c Config) (stop func(), err error) {
	s, err := launch(ctx, c)
	if err != nil {
		return nil, err
	}
	return func() { s.Stop(stopGrace) }, nil
}

// serverCommand is a gateway that the run starts itself, so that it can restart
// it. It is used by one goroutine.
type serverCommand struct {
	*probe.Program
	line   string
	target Target
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
	return s, s.start(ctx, c.Timeout)
}

// assignment is how a variable before a command starts.
var assignment = regexp.MustCompile(`^\s*[A-Za-z_][A-Za-z0-9_]*=`)

// start runs the command in the shell's place: signals and the end of the process
// must be the gateway's own, and not those of a shell around it.
func (s *serverCommand) start(ctx context.Context, timeout time.Duration) (err error) {
	line := "exec " + s.line
	if assignment.MatchString(s.line) {
		line = "exec env " + s.line
	}
	if s.Program, err = probe.Start("--server-cmd", exec.Command("/bin/sh", "-c", line)); err != nil {
		return err
	}
	awaited := fmt.Sprintf("nothing listens on %v, where --url aims at", &s.target)
	err = s.Until(ctx, timeout, awaited, func(ctx context.Context) error { return s.target.dial(ctx, time.Second) })
	if err != nil {
		s.Kill()
	}
	return err
}
