// Package sink holds the two ways to write to a descriptor that a program was
// started with and whose other end it doesn't know. A Writer is for a log or a
// panel of a program that has better things to do: it never waits for the other
// end, nor fails with it. An Output is for a command whose output is its work,
// and whose reader may have read enough.
package sink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// CatchBrokenPipes has a write to a pipe without a reader fail, with EPIPE. By
// default Go ends the process for one on standard output or standard error, even
// where SIGPIPE was ignored when the program was started. Programs that this one
// starts find the signal as it was.
func CatchBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // nobody receives, nobody closes
}

// Output is the standard output of a command. A reader that has left has read
// enough, so the rest is dropped and the command ends as it would have. Any other
// failure is kept: output that can't be written is work that was not done.
type Output struct {
	to   io.Writer
	gone bool
	err  error
}

// NewOutput returns an output to a descriptor.
func NewOutput(to io.Writer) *Output { return &Output{to: to} }

func (o *Output) Write(p []byte) (int, error) {
	if o.gone {
		return len(p), nil
	}
	n, err := o.to.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		o.gone = true
		return len(p), nil
	}
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Unwrap returns the descriptor.
func (o *Output) Unwrap() io.Writer { return o.to }

// Err returns the first failure, nil where all was written or the reader has gone.
func (o *Output) Err() error { return o.err }

// Detach has writes to a descriptor fail, with EAGAIN, where the pipe behind it is full, for
// output without a Writer before it: the runtime writes a panic's stacks to descriptor 2
// itself, and a process that waits for a reader there has neither served nor ended. The pipe is
// opened anew for it, as the other processes that hold it may rely on waiting. Whatever is no
// pipe stays as it is.
func Detach(fd int) {
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil || info.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return
	}
	// Fails for a pipe without a reader, which never fills up, and for another
	// user's.
	own, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", fd), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(own)
	_ = syscall.Dup3(own, fd, 0)
}
