package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// scenario is a run of the library.
type scenario func(context.Context, loadgen.Config, loadgen.Options) (*loadgen.Result, error)

// execute runs a scenario, shows its progress and writes its result.
func (f *flags) execute(ctx context.Context, s scenario, args []string, out, errOut io.Writer) int {
	name := f.set.Name()
	fail := func(err error) int {
		fmt.Fprintf(errOut, "%s: %v\n", name, err)
		return exitFailed
	}
	// Opened first: a run whose result can't be written is no use.
	report, err := openReport(f.json, out)
	if err != nil {
		return wrongUse(name, err, errOut)
	}
	defer report.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o, err := f.output.open(f, errOut, stop)
	if err != nil {
		return wrongUse(name, err, errOut)
	}
	defer o.close()
	knobs := examine(ctx, f, errOut)
	result, err := s(ctx, f.config, loadgen.Options{
		Command:  append([]string{name}, loadgen.MaskCommand(args)...),
		Progress: o.sample,
		Interval: o.interval,
	})
	o.done()
	flush(errOut) // the table comes below it
	if err != nil {
		if usage := (*loadgen.UsageError)(nil); errors.As(err, &usage) {
			return wrongUse(name, err, errOut)
		}
		return fail(err)
	}
	result.Knobs = knobs
	result.Aborted = o.aborted()
	result.Judge(o.slos)
	if err := errors.Join(o.finish(result), write(result, report, f.json, out)); err != nil {
		return fail(err)
	}
	return exitCode(result)
}

// exitCode says how a run went. A missed SLO is the answer that was asked for,
// whatever else is wrong; an interrupted run has none.
func exitCode(r *loadgen.Result) int {
	switch {
	case r.Partial: // what can't be told is not missed
		return exitFailed
	case !r.Met() && (!r.Interrupted || r.Aborted != ""):
		return exitSLO
	case !r.Good():
		return exitFailed
	}
	return exitGood
}

// write writes the result as JSON, as a table, or both.
func write(r *loadgen.Result, report *reportFile, name string, out io.Writer) error {
	if name != "" {
		if err := report.whole(r.WriteJSON(report)); err != nil {
			return err
		}
	}
	if name == "-" {
		return nil
	}
	return r.WriteTable(out)
}

// scenarioName is the subcommand of a run.
func scenarioName(f *flags) string { return strings.TrimPrefix(f.set.Name(), "loadgen ") }
