package loadgen

import (
	"context"
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// load is the load of a window.
type load struct {
	// messages is how many; 0: at the rate for as long as during runs.
	messages int
	// during runs beside the publishing; nil for nothing.
	during func(ctx context.Context)
	// movers: the clients that the run cuts are to get everything too.
	movers bool
}

// awayWait is how long messages to clients that were away are waited for after the last
// arrival.
const awayWait = 2 * time.Second

// window publishes, waits for the messages under way, and accounts for every
// message of every subscription. Nil: it could not begin, or nothing was to be
// published.
func (r *run) window(ctx context.Context, p publish.Publisher, d load) *result.Sent {
	r.begin(result.PhasePublish)
	w, err := newPublishing(r, p, d.movers)
	if err != nil {
		r.note("counting subscribers", err)
		return nil
	}
	if r.plan.Foreign {
		if err := w.trial(ctx); err != nil {
			r.note("publishing for a trial", err)
			return nil
		}
	}
	from := r.moment()
	r.clients.takePhase()
	r.note("publishing", w.send(ctx, d))
	if ctx.Err() == nil {
		r.begin(result.PhaseWait)
		w.await(ctx)
	}
	to := r.moment()
	// Duplicates may trail behind the last message; they are no progress that
	// could be waited for.
	if err := r.clients.sleep(ctx, r.plan.Settle, nil); err != nil {
		r.note("looking for duplicates", err)
	}
	f := w.account(to.since(from.effort), &from.clients.Counters)
	if cpu, ok := to.serverCPU(from); ok && !r.restarted {
		f.ServerCPU = &cpu
	}
	r.bookPublishing(f)
	return f
}

// bookPublishing books the server's CPU time for messages.
func (r *run) bookPublishing(f *result.Sent) {
	s := r.result.Server
	if s == nil || f.Effort.Seconds <= 0 || f.ServerCPU == nil {
		return
	}
	s.CPUPublishing = *f.ServerCPU / f.Effort.Seconds
	if f.Delivered > 0 {
		s.CPUPerDelivery = *f.ServerCPU / float64(f.Delivered) * 1e6
	}
}

// send publishes and runs the load's other part meanwhile.
func (w *publishing) send(ctx context.Context, d load) error {
	defer func() { w.settle(d.messages) }()
	if d.during == nil {
		return w.all(ctx, d.messages, nil)
	}
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() { sent <- w.all(ctx, d.messages, stop) }()
	d.during(ctx)
	w.stopAt = w.run.clients.now()
	close(stop)
	return <-sent
}

// await waits for the messages that are still on their way.
func (w *publishing) await(ctx context.Context) {
	wait := func(quiet time.Duration, done func(account.Totals) bool) error {
		// With no client left nothing more can arrive.
		return w.run.clients.wait(ctx, min(quiet, w.run.plan.Timeout), func(t account.Totals) bool { return t.Nobody() || done(t) })
	}
	err := wait(w.run.plan.Timeout, w.completeButMoved)
	if err == nil && w.sent.ExpectedMoved > 0 {
		err = wait(awayWait, w.complete)
	}
	if err == nil && w.expectedUnknown > 0 {
		// Messages without an answer may still arrive.
		all := w.sent.Expected + w.expectedUnknown
		err = wait(awayWait, func(t account.Totals) bool { return t.Delivered-w.before.Delivered >= all })
	}
	if !errors.Is(err, errQuiet) {
		w.run.note("waiting for the messages", err)
	}
}

// account compares the published messages with the received ones.
func (w *publishing) account(e result.Effort, before *account.Counters) *result.Sent {
	r := w.run
	f := w.sent
	f.Publish, f.Completion, f.Effort = account.Summarize(w.roundTrip), account.Summarize(w.completion), e
	r.roundTrips.Merge(w.roundTrip)
	if w.first > 0 {
		f.Sending = time.Duration(w.last - w.first).Seconds()
		f.PerSecond = result.PerSecond(float64(f.Published), f.Sending)
	}
	f.Unaudited = true
	told, err := r.clients.Execute(client.Command{Do: client.DoAudit, Sequence: r.sequence, Lapses: w.lapses})
	if err != nil {
		r.note("counting", err)
		return f
	}
	a := told.Audit
	// Delivered messages without an answer were published after all.
	f.UnknownMissing = a.Unknown
	f.Expected += w.expectedUnknown - min(a.Unknown, w.expectedUnknown)
	f.Missing, f.MissingMoved, f.MissingCut, f.Incomplete, f.Examples = a.Missing, a.Moved, a.Cut, a.Incomplete, a.Examples
	snap, err := r.clients.collect()
	if err != nil {
		r.note("counting", err)
		return f
	}
	f.Unaudited = false
	c := snap.Counters
	c.Subtract(before)
	f.Delivered, f.Bytes, f.Duplicated, f.Replayed, f.Reordered = c.Delivered, c.Bytes, c.Duplicated, c.Replayed, c.Reordered
	l := r.clients.takePhase()
	f.Due, f.Real = l[account.OfDelivery], l[account.OfSent]
	r.phaseLatency = l
	if w.first > 0 {
		latest := r.clients.Totals().Latest
		f.Seconds = time.Duration(max(latest, w.last) - w.first).Seconds()
		f.DeliveredPS = result.PerSecond(float64(f.Delivered), f.Seconds)
	}
	r.judge(f, c, a.Exact)
	return f
}
