package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/sink"
)

// runAgent is "loadgen agent": orders come over standard input.
func runAgent(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) > 0 {
		fmt.Fprintf(errOut, "loadgen agent: takes no arguments; another loadgen starts it (--agent 'ssh host loadgen agent') and talks to it over standard input\n")
		return exitUsage
	}
	if s, ok := out.(*sink.Output); ok {
		out = s.Unwrap() // whose end is the end of the orders, too
	}
	if err := loadgen.ServeAgent(ctx, os.Stdin, out); err != nil {
		fmt.Fprintf(errOut, "loadgen agent: %v\n", err)
		return exitFailed
	}
	return exitGood
}
