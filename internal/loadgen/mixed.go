package loadgen

import (
	"context"
	"errors"
)

// RunMixed loads with everything at once: transports by share, messages, churn
// of one share of the clients and another that is slow. Its error is a run
// that could not begin.
func RunMixed(ctx context.Context, c Config, o Options) (*Result, error) {
	if err := checkMixed(c); err != nil {
		return nil, err
	}
	return withPublisher(ctx, c, func(p publisher) (*Result, error) { return mixed(ctx, c, o, p) })
}

func checkMixed(c Config) error {
	var u usage
	if c.Share+c.SlowShare >= 1 {
		u.add("--slow-share", c.SlowShare, "with --share %v nobody is left to measure by: the two must be less than 1 together", c.Share)
	}
	if (c.Share > 0) != (c.ChurnRate > 0) {
		u.add("--churn-rate", c.ChurnRate, "and --share %v: one without the other does nothing", c.Share)
	}
	if c.SlowShare > 0 && c.Rate == 0 {
		u.add("--rate", c.Rate, "without messages nobody falls behind; want more than 0")
	}
	return errors.Join(u...)
}

func mixed(ctx context.Context, c Config, o Options, p publisher) (*Result, error) {
	c.Timed = true
	r, err := newRun(ctx, "mixed", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		d := load{during: func(ctx context.Context) { r.holdFor(ctx, r.plan.Duration) }}
		if r.plan.ChurnRate > 0 {
			d.during = r.churn
		}
		if r.plan.SlowShare > 0 {
			x := &Slow{Clients: r.plan.cast.slow, Read: r.plan.SlowRead}
			r.result.Slow = x
			r.slowed(ctx, x, func() { x.Loaded = r.during(ctx, p, d) })
		} else {
			r.during(ctx, p, d)
		}
		r.judgeChurn()
	}
	return r.finish(), nil
}
