package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
)

// commandPublisher publishes by --publish-cmd. A command with {message} in it is
// run for each message, one after the other, and has published when it ends with
// 0. Any other is run once and reads lines of a channel, a blank and a message;
// each line that it has read counts as published. Either may take --timeout, for a
// message or a batch of lines, and is killed then: publishing must not outlast the
// run.
type commandPublisher struct {
	line    string
	each    bool
	timeout time.Duration
	said    *probe.Tail

	// Of one that reads lines
	process *exec.Cmd
	stdin   io.WriteCloser
	ended   chan struct{} // closed by the goroutine that waits for the process
	err     error         // how it ended, after ended
	text    []byte
}

func newCommandPublisher(c Config) (*commandPublisher, error) {
	p := &commandPublisher{line: c.PublishCmd, each: strings.Contains(c.PublishCmd, placeMessage), timeout: c.Timeout, said: &probe.Tail{}}
	if p.each {
		return p, nil
	}
	p.process = p.command(context.Background(), p.line)
	var err error
	if p.stdin, err = p.process.StdinPipe(); err == nil {
		err = p.process.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("--publish-cmd: %w", err)
	}
	p.ended = make(chan struct{})
	go func() {
		p.err = p.process.Wait()
		p.kill() // the processes that it has left behind in its group
		close(p.ended)
	}()
	return p, nil
}

// command prepares a process in a group of its own: an interrupt at the terminal
// is for this one.
func (p *commandPublisher) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Stdout, cmd.Stderr = p.said, p.said
	cmd.WaitDelay = time.Second
	return cmd
}

func (p *commandPublisher) via() string { return "--publish-cmd" }

func (p *commandPublisher) publish(ctx context.Context, batch []publication) (fates []fate, err error) {
	fates = make([]fate, 0, publishBatch)
	if p.each {
		for _, m := range batch {
			f := fateUnsent
			if err == nil {
				f, err = p.run(ctx, m)
			}
			fates = append(fates, f)
		}
		return fates, err
	}
	p.text = p.text[:0]
	for _, m := range batch {
		p.text = append(append(append(append(p.text, m.channel...), ' '), m.payload...), '\n')
		fates = append(fates, fateTaken)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, p.kill)
	_, err = p.stdin.Write(p.text)
	if stop(); err == nil {
		return fates, nil
	}
	for i := range fates {
		fates[i] = fateUnknown
	}
	if ctx.Err() != nil {
		return fates, p.late(ctx)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			err = p.err
		} else {
			err = errors.New("it has ended")
		}
	case <-time.After(time.Second):
	}
	return fates, p.wrong(err)
}

// run runs the command for one message.
func (p *commandPublisher) run(ctx context.Context, m publication) (fate, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	line := strings.NewReplacer(placeChannel, m.channel, placeMessage, string(m.payload)).Replace(p.line)
	switch err := p.command(ctx, line).Run(); {
	case err == nil:
		return fateTaken, nil
	case ctx.Err() != nil:
		return fateUnknown, p.late(ctx)
	default:
		return fateRefused, p.wrong(err)
	}
}

// late is the error of a command that was killed in the middle of its work.
func (p *commandPublisher) late(ctx context.Context) error {
	switch {
	case !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case p.each:
		return p.wrong(fmt.Errorf("it has not ended within %v", p.timeout))
	}
	return p.wrong(fmt.Errorf("it has not read on for %v", p.timeout))
}

func (p *commandPublisher) wrong(err error) error {
	return fmt.Errorf("--publish-cmd: %w; it said:\n%s", err, p.said)
}

func (p *commandPublisher) kill() { syscall.Kill(-p.process.Process.Pid, syscall.SIGKILL) }

// close ends the command by the end of its input, or the hard way.
func (p *commandPublisher) close() error {
	if p.each {
		return nil
	}
	p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.kill()
		<-p.ended
	}
	return nil
}
