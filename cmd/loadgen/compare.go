package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen/report"
)

// runCompare is "loadgen compare A B".
func runCompare(_ context.Context, args []string, out, errOut io.Writer) int {
	s := newFlagSet("compare", "A B")
	asJSON := s.Bool("json", false, "print the comparison as JSON")
	if code, ok := parseSet(s, args, 2, out, errOut); !ok {
		return code
	}
	fail := func(err error) int {
		fmt.Fprintf(errOut, "loadgen compare: %v\n", err)
		return exitFailed
	}
	var runs [2]*report.Run
	for i := range runs {
		var err error
		if runs[i], err = report.Load(s.Arg(i)); err != nil {
			return fail(err)
		}
	}
	c := report.Compare(runs[0], runs[1])
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(c); err != nil {
			return fail(err)
		}
		return exitGood
	}
	if err := c.WriteText(out); err != nil {
		return fail(err)
	}
	return exitGood
}
