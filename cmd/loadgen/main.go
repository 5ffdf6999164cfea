// Command loadgen loads a push gateway and reports how much it carried.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// exitSLO says that the run was as asked and missed an SLO.
const exitSLO = 99

func main() {
	// The second signal ends the process the hard way.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	root := &cobra.Command{
		Use: "loadgen",
		Long: `loadgen loads a push gateway and reports how much it carried.

Exit codes: 0 good, 1 the run failed, 2 wrong use, 99 an SLO was missed.`,
	}
	root.AddCommand(scenarioCommands()...)
	root.AddCommand(agentCommand(), capacityCommand(), doctorCommand(), reportCommand(), compareCommand(), figuresCommand())
	cli.Main(ctx, root, os.Args[1:])
}

// refused returns the error of a run: a *plan.UsageError is the command line's.
func refused(c *cobra.Command, err error) error {
	if usage := (*plan.UsageError)(nil); errors.As(err, &usage) {
		return cli.Usage(c, err)
	}
	return err
}

// invocation is the command line as results name it.
func invocation(c *cobra.Command) []string {
	return append([]string{c.CommandPath()}, plan.MaskCommand(os.Args[2:])...)
}
