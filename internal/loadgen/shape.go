package loadgen

import (
	"context"
	"fmt"
	"time"
)

// Step is what came of one stage.
type Step struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
	Clients int64   `json:"clients"` // ready at its end
	Failed  uint64  `json:"failed"`
	Lost    uint64  `json:"lost"`

	// Of a ramp.
	Changed   uint64  `json:"changed"` // connected or closed
	PerSecond float64 `json:"per_second"`
	Late      uint64  `json:"late"` // connects begun more than 5 ms after they were due
	// Handshake counts from the connect, HandshakeDue from when the pace
	// wanted it to begin.
	Handshake    Latency `json:"handshake"`
	HandshakeDue Latency `json:"handshake_from_due"`

	// Of a hold.
	Pings  uint64 `json:"pings"`
	Fanout *Sent  `json:"fanout,omitempty"` // where messages were published

	Effort Effort         `json:"effort"`
	Server *ProcessSample `json:"server,omitempty"` // at its end
	CPU    float64        `json:"server_cpu_share"` // CPUs in use by the server
}

// stages runs the load over time. With a publisher, messages are published
// during the holds and accounted for hold by hold.
func (r *run) stages(ctx context.Context, p publisher) {
	res := r.result
	r.watchServer()
	top := false
	for _, s := range r.plan.stages {
		if ctx.Err() != nil || len(res.Steps) > 0 && r.engine.totals().up == 0 && s.Hold > 0 {
			break
		}
		res.Steps = append(res.Steps, r.step(ctx, s, p))
		if !top && s.Hold == 0 && s.Target == r.plan.Connections {
			top = true
			r.bookConnected()
		}
	}
	r.joinHolds()
	c := &res.Connect
	for _, x := range res.Steps {
		if x.Handshake.Count > 0 {
			c.Seconds += x.Seconds
			c.Effort.add(x.Effort)
		}
	}
	l := r.engine.latencies()
	c.Handshake, c.HandshakeDue, c.Ready = l.handshake, l.paced, l.ready
	for _, x := range res.Steps {
		c.Late += x.Late
	}
	c.PerSecond = perSecond(float64(l.handshake.Count), c.Seconds)
	if n := len(res.Steps); n < len(r.plan.stages) && !res.Interrupted {
		r.fail("stopped before stage %d of %d, %s: no client is left", n+1, len(r.plan.stages), r.plan.stages[n])
	}
}

// joinHolds makes one account of the messages of all holds: a limit that one of
// them misses is missed.
func (r *run) joinHolds() {
	var all *Sent
	for _, x := range r.result.Steps {
		switch {
		case x.Fanout == nil:
		case all == nil:
			first := *x.Fanout
			all = &first
		default:
			all.add(x.Fanout)
		}
	}
	if all != nil {
		l := r.engine.latencies()
		all.Due, all.Real, all.Publish = l.due, l.sent, summarize(r.roundTrips)
		r.bookPublishing(all)
	}
	r.result.Fanout = all
}

func (r *run) step(ctx context.Context, s Stage, p publisher) Step {
	x := Step{Stage: s.String()}
	from, serverFrom := r.effort(), r.sampleServer()
	before, _ := r.engine.collect()
	r.engine.takePhase()
	ready := r.engine.totals().up
	switch {
	case s.Hold == 0:
		r.enter(PhaseConnect)
		r.note("in stage "+x.Stage, r.engine.ramp(ctx, s.Target, s.Rate))
	case p != nil && r.plan.Rate > 0:
		x.Fanout = r.window(ctx, p, load{during: func(ctx context.Context) { r.holdFor(ctx, s.Hold) }})
	default:
		r.enter(PhaseHold)
		r.holdFor(ctx, s.Hold)
	}
	x.Effort = r.effort().since(from)
	x.Seconds = x.Effort.Seconds
	x.Server = r.sampleServer()
	if cpu, ok := x.Server.CPUSince(serverFrom); ok {
		x.CPU = perSecond(cpu, x.Seconds)
	}
	after, _ := r.engine.collect()
	c := after.Counters
	c.subtract(&before.Counters)
	x.Clients = r.engine.totals().up
	x.Failed, x.Lost, x.Late, x.Pings = c.Failed+c.Retried, c.Lost, c.LateConnects, c.Pings
	if s.Hold == 0 {
		l := r.engine.takePhase()
		x.Handshake, x.HandshakeDue = l.handshake, l.paced
		x.Changed = c.Ready + c.Closed
		x.PerSecond = perSecond(float64(x.Changed), x.Seconds)
		if missing := int64(s.Target) - x.Clients; missing > 0 && x.Clients >= ready && !r.result.Interrupted {
			r.fail("stage %s: %d clients are not ready", x.Stage, missing)
			r.hints(after.Failures, after.Retries)
		}
		r.warnLate(fmt.Sprintf("of stage %s ", x.Stage), x.Late)
		if x.Effort.Bound && x.Seconds > 0.5 {
			r.warn("CLIENT-BOUND in stage %s: loadgen was at its own limit; the server can do better than these figures say", x.Stage)
		}
	}
	return x
}

// warnLate says that the pace of connects was not kept.
func (r *run) warnLate(of string, n uint64) {
	if n > 0 {
		r.warn("%d connects %sbegan more than %v late: -c allows %d handshakes at the same time, and this host may be busy; read the handshake from its intended time", n, of, lateAfter, r.plan.InFlight)
	}
}

// holdFor lets time pass.
func (r *run) holdFor(ctx context.Context, d time.Duration) { r.note("holding", r.rest(ctx, d)) }
