package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/report"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
)

// run runs a scenario, shows its progress and writes its result. A run whose
// result can't be written is no use, so its files are opened first.
func (f *runFlags) run(c *cobra.Command, s scenario, slos []result.SLO) error {
	file, err := openResult(f.json, c.OutOrStdout())
	if err != nil {
		return cli.Usage(c, err)
	}
	var dir *report.Dir
	if f.dir != "" {
		if dir, err = report.Create(f.dir, true); err != nil {
			return cli.Usage(c, err)
		}
		defer func() {
			if dir != nil {
				dir.Abandon()
			}
		}()
	}
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	var missed atomic.Pointer[string] // the SLO that ended the run early
	var watch *result.Watch
	if f.abort {
		watch = result.NewWatch(slos, func(text string) {
			missed.Store(&text)
			stop()
		})
	}
	limits := f.examineHost(c)
	show, done := f.progress(c)
	res, err := s(ctx, f.config, loadgen.Options{
		Command: invocation(c),
		Progress: func(sample result.Sample) {
			show(sample)
			if dir != nil {
				dir.Sample(sample)
			}
			if watch != nil {
				watch.Sample(sample)
			}
		},
		Interval: func(i result.Interval) {
			if dir != nil {
				dir.Interval(i)
			}
			if watch != nil {
				watch.Interval(i)
			}
		},
	})
	done()
	cli.Stderr(c).Flush(cli.FlushTime) // the table comes below it
	if err != nil {
		return refused(c, err)
	}
	res.Knobs = limits
	if text := missed.Load(); text != nil {
		res.Aborted = *text
	}
	res.Judge(slos)
	if dir != nil {
		err = dir.Finish(res.WriteJSON)
		dir = nil // a directory that can't be written whole stays where it is
	}
	if err := errors.Join(err, file.write(res.WriteJSON, res.WriteTable)); err != nil {
		return err
	}
	return verdict(res)
}

// verdict returns the error that ends the program with the result's exit code. A
// missed SLO is a result that was asked for, whatever else is wrong; an
// interrupted run has none.
func verdict(r *result.Result) error {
	switch {
	case r.Partial: // a figure that is not known is not missed
		return cli.Exit(cli.ExitFailure, nil)
	case !r.Met() && (!r.Interrupted || r.Aborted != ""):
		return cli.Exit(exitSLO, nil)
	case !r.Good():
		return cli.Exit(cli.ExitFailure, nil)
	}
	return nil
}

// examineHost returns the limits of the host, and tells of those that are too low
// for the run. The run itself refuses to begin without those that it needs.
func (f *runFlags) examineHost(c *cobra.Command) []preflight.Finding {
	r, err := loadgen.Doctor(c.Context(), f.config, preflight.Host())
	if err != nil {
		return nil // the run returns the same error
	}
	for _, x := range r.Fixes() {
		fmt.Fprintf(c.ErrOrStderr(), "this host: %s is %s, needed %s: %s; %s\n", x.Name, x.Value, x.Needed, x.Why, x.Fix)
	}
	return r.Findings
}
