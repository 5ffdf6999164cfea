package loadgen

import (
	"context"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// stages runs the load over time. With a publisher, messages are published
// during the holds and accounted for hold by hold.
func (r *run) stages(ctx context.Context, p publish.Publisher) {
	res := r.result
	r.watchServer()
	top := false
	for _, s := range r.plan.StageList {
		if ctx.Err() != nil || len(res.Steps) > 0 && r.clients.Totals().Up == 0 && s.Hold > 0 {
			break
		}
		res.Steps = append(res.Steps, r.step(ctx, s, p))
		if !top && s.Hold == 0 && s.Target == r.plan.Connections {
			top = true
			r.bookConnected(r.clients.Totals().Open)
		}
	}
	r.joinHolds()
	c := &res.Connect
	for _, x := range res.Steps {
		if x.Handshake.Count > 0 {
			c.Seconds += x.Seconds
			c.Effort.Add(x.Effort)
		}
	}
	l := r.clients.latencies()
	c.Handshake, c.HandshakeDue, c.Ready = l[account.OfHandshake], l[account.OfHandshakeDue], l[account.OfReady]
	for _, x := range res.Steps {
		c.Late += x.Late
	}
	c.PerSecond = result.PerSecond(float64(l[account.OfHandshake].Count), c.Seconds)
	if n := len(res.Steps); n < len(r.plan.StageList) && !res.Interrupted {
		r.fail("stopped before stage %d of %d, %s: no client is left", n+1, len(r.plan.StageList), r.plan.StageList[n])
	}
}

// joinHolds makes one account of the messages of all holds: a limit that one of
// them misses is missed.
func (r *run) joinHolds() {
	var all *result.Sent
	for _, x := range r.result.Steps {
		switch {
		case x.Fanout == nil:
		case all == nil:
			first := *x.Fanout
			all = &first
		default:
			all.Add(x.Fanout)
		}
	}
	if all != nil {
		l := r.clients.latencies()
		all.Due, all.Real, all.Publish = l[account.OfDelivery], l[account.OfSent], account.Summarize(r.roundTrips)
		r.bookPublishing(all)
	}
	r.result.Fanout = all
}

func (r *run) step(ctx context.Context, s plan.Stage, p publish.Publisher) result.Step {
	x := result.Step{Stage: s.String()}
	from := r.moment()
	r.clients.takePhase()
	ready := r.clients.Totals().Up
	switch {
	case s.Hold == 0:
		r.begin(result.PhaseConnect)
		r.note("in stage "+x.Stage, r.clients.ramp(ctx, s.Target, s.Rate))
	case p != nil && r.plan.Rate > 0:
		x.Fanout = r.window(ctx, p, load{during: func(ctx context.Context) { r.holdFor(ctx, s.Hold) }})
	default:
		r.begin(result.PhaseHold)
		r.holdFor(ctx, s.Hold)
	}
	to := r.moment()
	x.Effort = to.since(from.effort)
	x.Seconds = x.Effort.Seconds
	x.Server = to.server
	if cpu, ok := to.serverCPU(from); ok {
		x.CPU = result.PerSecond(cpu, x.Seconds)
	}
	c := to.counted(from)
	x.Clients = r.clients.Totals().Up
	x.Failed, x.Lost, x.Late, x.Pings = c.Failed+c.Retried, c.Lost, c.LateConnects, c.Pings
	if s.Hold == 0 {
		l := r.clients.takePhase()
		x.Handshake, x.HandshakeDue = l[account.OfHandshake], l[account.OfHandshakeDue]
		x.Changed = c.Ready + c.Closed
		x.PerSecond = result.PerSecond(float64(x.Changed), x.Seconds)
		if missing := int64(s.Target) - x.Clients; missing > 0 && x.Clients >= ready && !r.result.Interrupted {
			r.fail("stage %s: %d clients are not ready", x.Stage, missing)
			r.hints(to.clients.Tallies[account.Failures], to.clients.Tallies[account.Retries])
		}
		r.warnLate(fmt.Sprintf("of stage %s ", x.Stage), x.Late)
		if x.Effort.Bound && x.Seconds > 0.5 {
			r.warn("CLIENT-BOUND in stage %s: loadgen was at its own limit; the server can do better than these figures say", x.Stage)
		}
	}
	return x
}

// holdFor lets time pass.
func (r *run) holdFor(ctx context.Context, d time.Duration) { r.note("holding", r.pause(ctx, d)) }
