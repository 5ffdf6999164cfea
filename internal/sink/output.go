package sink

import (
	"errors"
	"io"
	"syscall"
)

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

// Err returns the first failure, nil where all was written or nobody read on.
func (o *Output) Err() error { return o.err }
