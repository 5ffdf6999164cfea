// Command loadgen loads a push gateway and says what it carried.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/sink"
)

// Exit codes.
const (
	exitGood   = 0
	exitFailed = 1 // the run was not as asked
	exitUsage  = 2 // the run can't be as asked
	exitSLO    = 99
)

// command is one subcommand.
type command struct {
	name  string
	about string
	run   func(ctx context.Context, args []string, out, errOut io.Writer) int
}

func commands() []command {
	return []command{
		{"idle", "connect and hold: what does a connection cost?", runIdle},
		{"fanout", "publish to many: does every message reach every subscriber, and when?", runFanout},
		{"storm", "cut many clients, or restart the gateway: when are all back, and what is lost?", runStorm},
		{"churn", "connect and disconnect steadily: what does it cost?", runChurn},
		{"slow", "let some clients not read: what do the others feel?", runSlow},
		{"mixed", "all of it at once, as a scenario file says", runMixed},
		{"agent", "hold clients for another loadgen, which starts it (--agents, --agent)", runAgent},
		{"capacity", "climb until it breaks, and write the bill for more", runCapacity},
		{"doctor", "compare this host with what N clients need", runDoctor},
		{"report", "render the page of a run directory anew", runReport},
		{"compare", "put two runs side by side, beside their noise", runCompare},
		{"figures", "list the figures that --slo knows", runFigures},
	}
}

func main() {
	sink.CatchBrokenPipes()
	// The second signal ends the process the hard way.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	out, errOut := sink.NewOutput(os.Stdout), sink.NewWriter(os.Stderr)
	code := run(ctx, os.Args[1:], out, errOut)
	if out.Err() != nil && code == exitGood {
		fmt.Fprintf(errOut, "loadgen: %v\n", out.Err())
		code = exitFailed
	}
	flush(errOut)
	os.Exit(code)
}

// flushTime is how long what is to follow waits for the progress to be shown.
const flushTime = 500 * time.Millisecond

// flush has what was written to w stand there, unless nobody takes it.
func flush(w io.Writer) {
	if s, ok := w.(*sink.Writer); ok {
		s.Flush(flushTime)
	}
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		usage(errOut)
		return exitUsage
	}
	all := commands()
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] }); i >= 0 {
		return all[i].run(ctx, args[1:], out, errOut)
	}
	switch args[0] {
	case "help", "-h", "--help":
		usage(out)
		return exitGood
	}
	fmt.Fprintf(errOut, "loadgen: unknown command %q\n\n", args[0])
	usage(errOut)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "loadgen loads a push gateway and says what it carried.\n\nusage: loadgen COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.about)
	}
	fmt.Fprintf(w, "\n\"loadgen COMMAND --help\" lists the flags. Exit codes: 0 good, 1 the run failed, 2 wrong use, 99 an SLO was missed.\n")
}
