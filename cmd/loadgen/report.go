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
	dir := s.Arg(0)
	outcome, isOne, err := report.LoadCapacity(dir)
	if isOne && err == nil {
		err = report.WriteCapacityPage(dir, outcome)
	}
	if !isOne {
		var run *report.Run
		if run, err = report.Load(dir); err == nil {
			err = report.WritePage(dir, run)
		}
	}
	if err != nil {
		fmt.Fprintf(errOut, "loadgen report: %v\n", err)
		return exitFailed
	}
	fmt.Fprintln(out, filepath.Join(dir, report.Page))
	return exitGood
}
