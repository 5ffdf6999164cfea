package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/probe"
)

// newCommand publishes by --publish-cmd. A command with {message} in it is run for
// each message; any other is run once and reads lines. Either may take --timeout,
// for a message or a batch of lines, and is killed then: publishing must not
// outlast the run.
func newCommand(c plan.Config) (Publisher, error) {
	if strings.Contains(c.PublishCmd, plan.PlaceMessage) {
		return &eachCommand{line: c.PublishCmd, timeout: c.Timeout}, nil
	}
	p := &lineCommand{timeout: c.Timeout}
	cmd := exec.Command("/bin/sh", "-c", c.PublishCmd)
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	p.process, err = probe.Start("--publish-cmd", cmd)
	return p, err
}

// late is the error of a command that was killed in the middle of its work.
func late(ctx context.Context, said fmt.Stringer, how string, timeout time.Duration) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return wrong(fmt.Errorf("%s %v", how, timeout), said)
}

func wrong(err error, said fmt.Stringer) error {
	return fmt.Errorf("--publish-cmd: %w; it said:\n%s", err, said)
}

// eachCommand runs a command for each message, one after the other: it has
// published when it ends with 0.
type eachCommand struct {
	line    string
	timeout time.Duration
	said    probe.Tail
}

func (p *eachCommand) Via() string  { return "--publish-cmd" }
func (p *eachCommand) Close() error { return nil }

func (p *eachCommand) Publish(ctx context.Context, batch []Message) ([]Result, error) {
	return oneByOne(batch, func(m Message) (Result, error) { return p.run(ctx, m) })
}

func (p *eachCommand) run(ctx context.Context, m Message) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	line := strings.NewReplacer(plan.PlaceChannel, m.Channel, plan.PlaceMessage, string(m.Payload)).Replace(p.line)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	// A group of its own: an interrupt at the terminal is for this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Stdout, cmd.Stderr = &p.said, &p.said
	cmd.WaitDelay = time.Second
	switch err := cmd.Run(); {
	case err == nil:
		return Taken, nil
	case ctx.Err() != nil:
		return Unknown, late(ctx, &p.said, "it has not ended within", p.timeout)
	default:
		return Refused, wrong(err, &p.said)
	}
}

// lineCommand is a command that reads lines of a channel, a blank and a message;
// each line that it has read counts as published.
type lineCommand struct {
	process *probe.Program
	stdin   io.WriteCloser
	timeout time.Duration
	text    []byte
}

func (p *lineCommand) Via() string { return "--publish-cmd" }

func (p *lineCommand) Publish(ctx context.Context, batch []Message) ([]Result, error) {
	p.text = p.text[:0]
	for _, m := range batch {
		p.text = fmt.Appendf(p.text, "%s %s\n", m.Channel, m.Payload)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.process.Signal(syscall.SIGKILL) })
	_, err := p.stdin.Write(p.text)
	if stop(); err == nil {
		return slices.Repeat([]Result{Taken}, len(batch)), nil
	}
	results := slices.Repeat([]Result{Unknown}, len(batch))
	if ctx.Err() != nil {
		return results, late(ctx, p.process.Output(), "it has not read on for", p.timeout)
	}
	select {
	case <-p.process.Ended():
		err = cmp.Or(p.process.Err(), errors.New("it has ended"))
	case <-time.After(time.Second):
	}
	return results, wrong(err, p.process.Output())
}

// Close ends the command by the end of its input, or the hard way, and the
// processes that it has left behind.
func (p *lineCommand) Close() error {
	p.stdin.Close()
	p.process.Await(context.Background(), 5*time.Second)
	p.process.Kill()
	return nil
}
