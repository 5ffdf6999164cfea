package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/pushgate/pushgate/internal/loadgen/report"
)

// runReport is "loadgen report DIR".
func runReport(_ context.Context, args []string, out, errOut io.Writer) int {
	s := newFlagSet("report", "DIR")
	if code, ok := parseSet(s, args, 1, out, errOut); !ok {
		return code
	}
	if err := report.WritePage(s.Arg(0)); err != nil {
		fmt.Fprintf(errOut, "loadgen report: %v\n", err)
		return exitFailed
	}
	fmt.Fprintln(out, filepath.Join(s.Arg(0), report.Page))
	return exitGood
}
