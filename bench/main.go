// Bench measures the gateway from outside. Each subcommand is a measurement with
// options of its own:
//
//	go run ./bench ratios -rounds 9
//
// They build and start the servers themselves, on free ports of the loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/pushgate/pushgate/bench/catchup"
	"github.com/pushgate/pushgate/bench/million"
	"github.com/pushgate/pushgate/bench/ratios"
)

// command is one measurement.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, out io.Writer) error
}

var commands = []command{
	{"ratios", "CPU and memory beside a bare loop", ratios.Run},
	{"catchup", "a storm of clients that come back at once", catchup.Run},
	{"million", "a million clients on one process; writes docs/MILLION.md", million.Run},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name != args[0] {
				continue
			}
			if err := c.run(ctx, args[1:], out); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			return nil
		}
	}
	fmt.Fprintln(out, "usage: bench COMMAND [flags]; -h lists a command's flags")
	for _, c := range commands {
		fmt.Fprintf(out, "  %-9s %s\n", c.name, c.summary)
	}
	if len(args) > 0 && args[0] != "help" && args[0] != "-h" && args[0] != "--help" {
		return fmt.Errorf("there is no command %q", args[0])
	}
	return nil
}
