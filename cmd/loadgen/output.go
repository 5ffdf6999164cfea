package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/report"
)

// output is the flags for what a run's figures are held against, and for
// where they go.
type output struct {
	limits []string
	abort  bool
	dir    string
}

func (o *output) declare(s *pflag.FlagSet) {
	s.StringArrayVar(&o.limits, "slo", nil, "a limit such as 'delivery.p99<200ms', 'missing==0', 'rss_per_conn<600B'; may be repeated; \"loadgen figures\" lists the names")
	s.BoolVar(&o.abort, "abort-on-slo", false, "end the run with the first SLO that is missed for good")
	s.StringVar(&o.dir, "out", "", "write run.json, series.csv, latency.hlog and report.html to this new directory")
}

func (o *output) validate() error {
	_, err := loadgen.ParseSLOs(o.limits)
	return err
}

// running is an output while the run goes on. sample and interval are called
// on the run's goroutine, the others before or after.
type running struct {
	// Immutable
	slos  []loadgen.SLO
	show  func(loadgen.Sample)
	done  func()
	dir   *report.Dir    // nil: not wanted
	watch *loadgen.Watch // nil: not wanted

	// Guarded by mu
	mu   sync.Mutex
	miss string
}

// open prepares the output; stop is called when the run shall end early.
func (o *output) open(f *flags, errOut io.Writer, stop context.CancelFunc) (*running, error) {
	slos, err := loadgen.ParseSLOs(o.limits)
	if err != nil {
		return nil, err
	}
	r := &running{slos: slos}
	if o.dir != "" {
		if r.dir, err = report.Create(o.dir); err != nil {
			return nil, err
		}
	}
	if o.abort {
		r.watch = loadgen.NewWatch(slos, func(text string) {
			r.mu.Lock()
			r.miss = text
			r.mu.Unlock()
			stop()
		})
	}
	if drawable(errOut) {
		panel := report.NewPanel(errOut, scenarioName(f), f.config, coloured(), func() int { return columns(errOut) })
		r.show, r.done = panel.Show, panel.Done
	} else {
		lines := report.NewProgress(errOut, scenarioName(f), f.config)
		r.show, r.done = lines.Show, lines.Done
	}
	return r, nil
}

func (r *running) sample(s loadgen.Sample) {
	r.show(s)
	if r.dir != nil {
		r.dir.Sample(s)
	}
	if r.watch != nil {
		r.watch.Sample(s)
	}
}

func (r *running) interval(i loadgen.Interval) {
	if r.dir != nil {
		r.dir.Interval(i)
	}
	if r.watch != nil {
		r.watch.Interval(i)
	}
}

// aborted says which SLO ended the run early; empty if none did.
func (r *running) aborted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.miss
}

// finish writes the run directory.
func (r *running) finish(result *loadgen.Result) error {
	if r.dir == nil {
		return nil
	}
	dir := r.dir
	r.dir = nil // what can't be written whole stays where it is
	return dir.Finish(result)
}

// close drops a run directory that has no result.
func (r *running) close() {
	if r.dir != nil {
		r.dir.Abandon()
	}
}

// runFigures is "loadgen figures".
func runFigures(_ context.Context, args []string, out, errOut io.Writer) int {
	s := newFlagSet("figures", "")
	if code, ok := parseSet(s, args, 0, out, errOut); !ok {
		return code
	}
	fmt.Fprintln(out, "Figures of a run, with what their limits are written in:")
	fmt.Fprintln(out)
	if err := loadgen.WriteFigures(out); err != nil {
		return exitFailed
	}
	return exitGood
}
