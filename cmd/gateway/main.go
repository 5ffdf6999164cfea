// Command gateway pushes messages from Redis to the clients that hold a
// WebSocket, an event stream or a long poll open.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/internal/sink"
)

// stdio is the program's surroundings, so that tests can bring their own.
type stdio struct {
	in  io.Reader
	out *sink.Output
	err *sink.Writer
}

// usageError is a command line that can't be understood.
type usageError struct {
	command string // whose help says more; may be empty
	text    string
}

func (e usageError) Error() string { return e.text }

// Exit codes, documented by `gateway help`.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // what was asked for can't work, however often it's tried
)

// flushTime is how long the program's end waits for standard error.
const flushTime = 500 * time.Millisecond

func main() {
	sink.CatchBrokenPipes()
	fanout.DiscardRedisLog()
	out := sink.NewOutput(os.Stdout)
	std := stdio{in: os.Stdin, out: out, err: sink.NewWriter(os.Stderr)}
	err := run(context.Background(), os.Args[1:], std)
	if err == nil {
		err = out.Err()
	}
	code := report(std.err, err)
	std.err.Flush(flushTime)
	os.Exit(code)
}

// run finds the subcommand and runs it. Without one it serves.
func run(ctx context.Context, args []string, std stdio) error {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		name, args = "help", args[1:]
	} else if len(args) > 0 && args[0] == "--version" {
		name, args = "version", args[1:]
	}
	c, ok := findCommand(name)
	if !ok {
		return unknownCommand(name)
	}
	return c.run(ctx, args, std)
}

// report writes the error, if any, and returns the exit code for it.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(w, "gateway: %v\n", err)
	var (
		usage  usageError
		config configError
		file   fileError
	)
	switch {
	case errors.As(err, &usage):
	case errors.As(err, &config), errors.As(err, &file):
		return exitUsage
	default:
		return exitFailure
	}
	help := "gateway help"
	if usage.command != "" {
		help += " " + usage.command
	}
	fmt.Fprintf(w, "`%s` says more.\n", help)
	return exitUsage
}
