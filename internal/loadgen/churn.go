package loadgen

import (
	"context"
	"errors"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

var churn = scenario{name: "churn", messages: forTime,
	check: func(c plan.Config, u *plan.Problems) {
		if c.Share <= 0 {
			u.Add("--share", c.Share, "nobody would move; want a part of the clients up to 1")
		}
		if c.ChurnRate <= 0 {
			u.Add("--churn-rate", c.ChurnRate, "want more than 0 cycles a second")
		}
		if c.Rate > 0 && c.Share == 1 {
			u.Add("--share", c.Share, "with all clients moving nobody is left to account for messages: want less than 1, or --rate 0")
		}
	},
	run: func(ctx context.Context, r *run, p publish.Publisher) {
		r.during(ctx, p, load{during: r.churn})
		r.judgeChurn()
	}}

// churn moves clients for the run's duration and waits until all are back.
func (r *run) churn(ctx context.Context) {
	x := &result.Churn{Clients: r.plan.Roles.Movers, Rate: r.plan.ChurnRate}
	r.result.Churn = x
	from := r.moment()
	up := r.clients.Totals().MoversUp
	if r.phase.Load() == result.PhaseHold {
		r.begin(result.PhaseChurn)
	}
	r.note("starting the churn", r.clients.do(client.Command{Do: client.DoChurn, Rate: x.Rate}))
	r.note("churning", r.pause(ctx, r.plan.Duration))
	r.note("ending the churn", r.clients.do(client.Command{Do: client.DoChurn}))
	if ctx.Err() == nil {
		// Clients that failed to reconnect stay away.
		limit, cancel := context.WithTimeout(ctx, r.plan.Timeout)
		err := r.clients.wait(limit, r.plan.Timeout, func(t account.Totals) bool { return t.Leaving == 0 && t.MoversUp >= up })
		cancel()
		if !errors.Is(err, errQuiet) && !errors.Is(err, context.DeadlineExceeded) {
			r.note("waiting for the last to come back", err)
		}
	}
	to := r.moment()
	x.Effort = to.since(from.effort)
	x.Seconds = r.plan.Duration.Seconds()
	c := to.counted(from)
	x.Slots, x.Cycles, x.Skipped, x.Late, x.Failed = c.Churned+c.SkippedConnects, c.Returned, c.SkippedConnects, c.LateConnects, c.Failed+c.Retried
	x.PerSecond = result.PerSecond(float64(x.Cycles), x.Effort.Seconds)
	x.Before, x.After = from.server, to.server
	if cpu, ok := to.serverCPU(from); ok && x.Cycles > 0 && r.plan.Rate == 0 {
		x.CPUPerCycle = cpu / float64(x.Cycles) * 1e6
	}
}
