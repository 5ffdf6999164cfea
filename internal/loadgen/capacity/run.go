package capacity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
)

// Run climbs, fits and writes the bill. say is called with a line for every step. Its error is
// a run that could not begin; the outcome has all others, an interrupted one with its findings
// up to then.
func Run(ctx context.Context, c Config, env preflight.Env, say func(string)) (*Outcome, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.fill(env)
	if c.SLOs == nil {
		var err error
		if c.SLOs, err = result.ParseSLOs(defaultSLOs); err != nil {
			return nil, err // a figure was renamed
		}
	}
	if err := c.checkFit(env); err != nil {
		return nil, err
	}
	b := &bench{config: c, say: say}
	if err := b.reach(ctx); err != nil {
		return nil, err
	}
	return run(ctx, c, env, b)
}

func run(ctx context.Context, c Config, env preflight.Env, s steps) (*Outcome, error) {
	began := time.Now()
	o := &Outcome{Schema: Schema, Command: c.Command, Started: began.UTC().Format(time.RFC3339Nano), Transport: string(c.Run.Transport),
		TLS: c.secure(), Fresh: c.Run.ServerCmd != "", Failed: []string{}, Warnings: []string{}}
	var err error
	o.Connections, o.ConnectionsBreak, err = climb(ctx, connectionLevels(c), func(ctx context.Context, n float64) (Step, error) {
		return s.connections(ctx, int(n))
	})
	if err != nil && len(o.Connections) == 0 && ctx.Err() == nil {
		return nil, err
	}
	if o.end(err) {
		o.Deliveries, o.DeliveriesBreak, err = climb(ctx, deliveryLevels(c), s.deliveries)
		o.end(err)
	}
	s.close()
	o.fit(o.Connections)
	if c.Verify > 0 && !o.Interrupted && o.Fits.RSS != nil {
		o.verify(ctx, c.Verify, s)
	}
	s.describe(o)
	o.Bill = o.bill(c, env)
	o.judge(c)
	o.Seconds = time.Since(began).Seconds()
	return o, nil
}

// end books why a climb ended; true when it was complete.
func (o *Outcome) end(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		o.Interrupted = true
		o.Failed = append(o.Failed, "interrupted: the bill is made from the steps up to there")
	default:
		o.Failed = append(o.Failed, err.Error())
	}
	return false
}

// fit draws the lines through the good steps.
func (o *Outcome) fit(connections []Step) {
	var rss, kernel, beat, deliver []Point
	for _, s := range connections {
		if !s.Good {
			continue
		}
		n := float64(s.Connections)
		if s.RSS > 0 {
			rss = append(rss, Point{n, s.RSS})
		}
		if s.Kernel != nil {
			kernel = append(kernel, Point{n, *s.Kernel})
		}
		if s.Pings > 0 {
			beat = append(beat, Point{s.Pings, s.IdleCPUs})
		}
	}
	for _, s := range o.Deliveries {
		if s.Good && s.Delivered > 0 {
			deliver = append(deliver, Point{s.Delivered, s.CPUs})
		}
	}
	o.Fits = Fits{FitLine(rss), FitLine(kernel), FitLine(beat), fitLower(deliver)}
}

// verify measures once more, further out, and compares with the line that
// does not know of it. The bill is better with it: the lines are drawn anew.
func (o *Outcome) verify(ctx context.Context, n int, s steps) {
	predicted := o.Fits.RSS.At(float64(n))
	step, err := s.connections(ctx, n)
	if err != nil {
		o.end(fmt.Errorf("verify with %d connections: %w", n, err))
		return
	}
	if !step.Good || step.RSS <= 0 {
		o.Failed = append(o.Failed, fmt.Sprintf("verify with %d connections: %s", n, step.Why()))
		return
	}
	o.Verified = &Verified{Connections: n, Predicted: predicted, Measured: step.RSS, Percent: (predicted - step.RSS) / step.RSS * 100,
		Largest: int(o.largest())}
	o.fit(append(slices.Clone(o.Connections), step))
}

// farOut is from which factor on an extrapolation needs a word of caution.
const farOut = 10

// judge adds the warnings that the figures must be read with.
func (o *Outcome) judge(c Config) {
	warn := func(format string, args ...any) { o.Warnings = append(o.Warnings, fmt.Sprintf(format, args...)) }
	switch f := o.Fits.RSS; {
	case f == nil:
		o.Failed = append(o.Failed, fmt.Sprintf("memory was measured in fewer than %d good steps: there is no line to draw, and no bill", fewPoints))
	case !f.Good():
		warn("the memory of the steps is no straight line (R2 %.3f): take the bill for a guess; longer --hold and larger --max-connections help", f.R2)
	}
	if n := o.largest(); n > 0 && float64(c.Target) > farOut*n {
		warn("the target is %.0f times what was measured: the scatter given knows nothing of what changes on the way, such as how much garbage the runtime lets a larger heap gather", float64(c.Target)/n)
	}
	if !o.Fresh {
		warn("the gateway was running already: memory that it had grown to before is in its base, and the cost of a connection may be too low; --server-cmd starts a fresh one for each step")
	}
	bound := slices.DeleteFunc(slices.Concat(o.Connections, o.Deliveries), func(s Step) bool { return !s.HostBound })
	if n := len(bound); n > 0 {
		warn("in %d steps the CPUs of this host were over 95 %% busy, with whatever else runs here: a break may be the host's and not the gateway's", n)
	}
	if o.Interrupted {
		return
	}
	if f := o.Fits.Heartbeat; f == nil || !f.Good() {
		warn("the CPU for heartbeats could not be told from the rest; a shorter heartbeat of the gateway or a longer --hold helps")
	}
	if f := o.Fits.Delivery; f == nil || !f.Good() {
		warn("the CPU for deliveries could not be fitted")
	}
}

// Good reports whether there is a bill and nothing failed.
func (o *Outcome) Good() bool { return len(o.Failed) == 0 }
