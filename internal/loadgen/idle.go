package loadgen

import "context"

// Idle connects the clients and holds them: what does a connection cost? Its
// error is a run that could not begin; the result tells of all others.
func Idle(ctx context.Context, c Config, o Options) (*Result, error) {
	r, err := newRun(ctx, "idle", c, o)
	if err != nil {
		return nil, err
	}
	if r.plan.stages != nil {
		r.stages(ctx, nil)
	} else if r.connect(ctx) {
		r.hold(ctx)
	}
	return r.finish(), nil
}

// hold waits while the clients do nothing but answer heartbeats.
func (r *run) hold(ctx context.Context) {
	r.enter(PhaseHold)
	before, _ := r.engine.collect()
	from, serverFrom := r.effort(), r.sampleServer()
	r.holdFor(ctx, r.plan.Hold)
	after, _ := r.engine.collect()
	h := &Held{Pings: after.Counters.Pings - before.Counters.Pings, Effort: r.effort().since(from)}
	h.Seconds = h.Effort.Seconds
	r.result.Idle = h
	if s := r.result.Server; s != nil && h.Seconds > 0 {
		if cpu, ok := r.sampleServer().CPUSince(serverFrom); ok {
			s.CPUIdle = cpu / h.Seconds * 100
		}
	}
}
