package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

var storm = scenario{name: "storm", messages: forTime, restarts: true,
	check: func(c plan.Config, u *plan.Problems) {
		if c.ServerCmd == "" && !(c.Share > 0) {
			u.Add("--share", c.Share, "nobody would be cut; want a part of the clients such as 0.5, or --server-cmd")
		}
		if c.Backoff <= 0 {
			u.Add("--backoff", c.Backoff, "want more than 0: clients that come back without a pause between attempts are an attack")
		}
	},
	run: func(ctx context.Context, r *run, p publish.Publisher) { r.storm(ctx, p) }}

// storm has the clients lose their connections and reconnect.
func (r *run) storm(ctx context.Context, p publish.Publisher) {
	s := &result.Storm{Kind: "cut", Back50: result.Never, Back95: result.Never, Back100: result.Never, Resume: r.plan.Resume,
		Backoff: r.plan.Backoff.Seconds(), BackoffMost: r.plan.BackoffMost.Seconds()}
	if r.server != nil {
		s.Kind = "restart"
	}
	r.result.Storm = s
	from := r.moment()
	r.during(ctx, p, load{movers: true, during: func(ctx context.Context) { r.disturb(ctx, s) }})
	d := r.moment().counted(from)
	l := r.phaseLatency
	s.Handshake, s.Ready = l[account.OfHandshake], l[account.OfReady]
	s.Returned, s.Attempts, s.Failed = d.Returned, d.Attempted, d.Failed+d.Retried
	if s.Back100 > 0 {
		s.PerSecond = float64(s.Clients) / s.Back100
	}
	if r.server != nil {
		r.tolerated += d.Lost // they were meant to be
		s.Lost = d.Lost
	}
}

// disturb is the storm itself.
func (r *run) disturb(ctx context.Context, s *result.Storm) {
	if err := r.pause(ctx, r.plan.Before); err != nil {
		r.note("waiting for the storm", err)
		return
	}
	defer r.clients.do(client.Command{Do: client.DoRecover})
	if err := r.clients.do(client.Command{Do: client.DoRecover, On: true}); err != nil {
		r.note("preparing the storm", err)
		return
	}
	t := r.clients.Totals()
	back := &comeback{want: t.MoversUp, returned: t.Returned, cut: t.Cut, restart: r.server != nil, start: r.clients.now()}
	s.Clients = back.want
	r.begin(result.PhaseStorm)
	var err error
	if r.server == nil {
		err = r.clients.do(client.Command{Do: client.DoCut})
	} else {
		err = r.restart(ctx, s, back.start)
	}
	if err != nil {
		r.note("in the storm", err)
		return
	}
	limit, cancel := context.WithTimeout(ctx, r.plan.GiveUp)
	defer cancel()
	err = r.clients.wait(limit, r.plan.GiveUp, func(t account.Totals) bool { return back.saw(t, r.clients.now()) })
	s.Back50, s.Back95, s.Back100 = back.seconds(0), back.seconds(1), back.seconds(2)
	switch {
	case ctx.Err() != nil:
		r.note("waiting for the clients to come back", ctx.Err())
	case err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errQuiet)):
		r.fail("only %d of %d clients were back after %v (--give-up)", r.clients.Totals().MoversUp, s.Clients, r.plan.GiveUp)
		if snap, err := r.clients.collect(); err == nil {
			r.hints(snap.Tallies[account.Failures], snap.Tallies[account.Retries])
		}
	case err != nil:
		r.note("waiting for the clients to come back", err)
	default:
		r.note("after the storm", r.pause(ctx, r.plan.After))
	}
}

// restart stops the gateway and starts it again.
func (r *run) restart(ctx context.Context, s *result.Storm, start int64) error {
	if err := r.server.Signal(plan.StopSignals[r.plan.ServerSignal]); err != nil {
		return err
	}
	if err := r.server.Await(ctx, r.plan.GiveUp); err != nil {
		return fmt.Errorf("stopping the gateway: %w", err)
	}
	s.Stopped = account.Elapsed(r.clients.now(), start).Seconds()
	if err := r.server.start(ctx, r.plan.Timeout); err != nil {
		return fmt.Errorf("starting the gateway again: %w", err)
	}
	s.Started = account.Elapsed(r.clients.now(), start).Seconds()
	if r.watch != nil {
		r.restarted = true
		if err := r.watch.find(&r.plan.Target); err != nil {
			r.warn("%v", err)
			return nil
		}
		r.result.Server.PID = r.watch.PID()
		if r.kernel != nil {
			if err := r.kernel.Follow(r.watch.PID()); err != nil {
				r.warn("the kernel's figures can't be read any more: %v", err)
			}
		}
	}
	return nil
}

// comeback derives from the totals when 50, 95 and 100 % of the clients were back to stay.
type comeback struct {
	want     int64
	returned uint64 // before the storm
	cut      uint64
	restart  bool
	start    int64
	at       [3]int64 // 0: not, or no longer
}

// saw takes the totals and reports whether all are back.
func (b *comeback) saw(t account.Totals, now int64) bool {
	came := int64(t.Returned - b.returned)
	for i, share := range [...]float64{0.5, 0.95, 1} {
		n := int64(math.Ceil(share * float64(b.want)))
		switch {
		case came < n || t.MoversUp < n || !b.restart && int64(t.Cut-b.cut) < b.want:
			b.at[i] = 0
		case b.at[i] == 0:
			b.at[i] = now
		}
	}
	return b.at[2] > 0
}

func (b *comeback) seconds(i int) float64 {
	if b.at[i] == 0 {
		return result.Never
	}
	return time.Duration(b.at[i] - b.start).Seconds()
}

// stopGrace is how long a gateway that the run has started may take to end.
const stopGrace = 10 * time.Second

// ServerCommand is a gateway that the run starts itself, so that it can restart
// it. It is used by one goroutine.
type ServerCommand struct {
	*probe.Program
	line   string
	target plan.Target
}

// Launch starts --server-cmd and waits until it takes connections. It refuses where something
// listens already.
func Launch(ctx context.Context, c plan.Config) (*ServerCommand, error) {
	t, err := plan.ParseTarget(ctx, c.URL)
	if err != nil {
		return nil, &plan.UsageError{Flag: "--url", Value: plan.PrintableURL(c.URL), Want: err.Error()}
	}
	if !t.IsLocal() {
		return nil, &plan.UsageError{Flag: "--server-cmd", Want: "starts a gateway on this host, but --url is another one"}
	}
	if t.Dial(ctx, time.Second) == nil {
		return nil, &plan.UsageError{Flag: "--server-cmd", Want: fmt.Sprintf("something listens on %v already; the run starts and stops the gateway itself", &t)}
	}
	s := &ServerCommand{line: c.ServerCmd, target: t}
	return s, s.start(ctx, c.Timeout)
}

// Close ends the gateway and waits for it.
func (s *ServerCommand) Close() { s.Stop(stopGrace) }

// assignment is how a variable before a command starts.
var assignment = regexp.MustCompile(`^\s*[A-Za-z_][A-Za-z0-9_]*=`)

// start runs the command in the shell's place: signals and the end of the process
// must be the gateway's own, and not a shell's around it.
func (s *ServerCommand) start(ctx context.Context, timeout time.Duration) (err error) {
	line := "exec " + s.line
	if assignment.MatchString(s.line) {
		line = "exec env " + s.line
	}
	if s.Program, err = probe.Start("--server-cmd", exec.Command("/bin/sh", "-c", line)); err != nil {
		return err
	}
	awaited := fmt.Sprintf("nothing listens on %v, where --url aims at", &s.target)
	err = s.Until(ctx, timeout, awaited, func(ctx context.Context) error { return s.target.Dial(ctx, time.Second) })
	if err != nil {
		s.Kill()
	}
	return err
}
