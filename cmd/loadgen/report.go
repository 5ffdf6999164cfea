package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"pushgate/internal/loadgen/report"
)

// runReport is "loadgen report DIR".
func runReport(_ context.Context, args []string, out, errOut io.Writer) int {
	s := newFlagSet("report", "DIR")
	if code, ok := parseSet(s, args, 1, out, errOut); !ok {
		return code
	}
	dir := s.Arg(0)
	run, err := report.Load(dir)
	if err == nil {
		err = report.WritePage(dir, run)
	}
	if err != nil {
		fmt.Fprintf(errOut, "loadgen report: %v\n", err)
		return exitFailed
	}
	fmt.Fprintln(out, filepath.Join(dir, report.Page))
	return exitGood
}
