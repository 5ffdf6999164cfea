package loadgen

import (
	"context"
	"errors"
	"fmt"
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
	// apart: no window at all, only during.
	apart bool
}

// awayWait is how long messages to clients that were away are waited for after
// the last that came.
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
		if err := r.trial(ctx, w); err != nil {
			r.note("publishing for a trial", err)
			return nil
		}
	}
	from, serverFrom := r.effort(), r.sampleServer()
	before, _ := r.clients.collect()
	r.clients.takePhase()
	r.note("publishing", r.send(ctx, w, d))
	if ctx.Err() == nil {
		r.begin(result.PhaseWait)
		r.awaitMessages(ctx, w)
	}
	effort := r.effort().since(from)
	cpu, cpuKnown := r.sampleServer().CPUSince(serverFrom)
	// Duplicates may trail behind the last message; they are no progress that
	// could be waited for.
	if err := r.clients.sleep(ctx, r.plan.Settle, nil); err != nil {
		r.note("looking for duplicates", err)
	}
	f := r.account(w, effort, &before.Counters)
	if cpuKnown && !r.restarted {
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
func (r *run) send(ctx context.Context, w *publishing, d load) error {
	defer func() { w.settle(d.messages) }()
	if d.during == nil {
		return w.all(ctx, d.messages, nil)
	}
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() { sent <- w.all(ctx, d.messages, stop) }()
	d.during(ctx)
	w.stopAt = r.clients.now()
	close(stop)
	return <-sent
}

// awaitMessages waits for the messages that are still on their way.
func (r *run) awaitMessages(ctx context.Context, w *publishing) {
	// With nobody left nothing more can come.
	err := r.clients.wait(ctx, r.plan.Timeout, func(t account.Totals) bool { return t.Nobody() || w.completeButMoved(t) })
	if err == nil && w.expectedMoved > 0 {
		err = r.clients.wait(ctx, min(awayWait, r.plan.Timeout), func(t account.Totals) bool { return t.Nobody() || w.complete(t) })
	}
	if err == nil && w.expectedUnknown > 0 {
		// Those without an answer may stand for some that are still to come.
		all := w.expected + w.expectedUnknown
		err = r.clients.wait(ctx, min(awayWait, r.plan.Timeout), func(t account.Totals) bool { return t.Nobody() || t.Delivered-w.before.Delivered >= all })
	}
	if !errors.Is(err, errQuiet) {
		r.note("waiting for the messages", err)
	}
}

// account compares the published messages with those that came.
func (r *run) account(w *publishing, e result.Effort, before *account.Counters) *result.Sent {
	p := r.plan
	f := &result.Sent{
		Channels:      uint32(len(w.channels)),
		Via:           w.publisher.Via(),
		Size:          p.Size,
		Durable:       p.Durable,
		Rate:          p.Rate,
		Asked:         w.asked,
		Published:     w.published,
		Late:          w.late,
		Skipped:       w.skipped,
		Unheard:       w.unheard,
		NotSent:       w.notSent,
		Refused:       w.refused,
		FateUnknown:   w.unknown,
		Expected:      w.expected,
		ExpectedMoved: w.expectedMoved,
		Publish:       account.Summarize(w.roundTrip),
		Completion:    account.Summarize(w.completion),
		Effort:        e,
	}
	r.roundTrips.Merge(w.roundTrip)
	if w.first > 0 {
		f.Sending = time.Duration(w.last - w.first).Seconds()
		f.PerSecond = result.PerSecond(float64(w.published), f.Sending)
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
	f.Delivered, f.Duplicated, f.Replayed, f.Reordered = c.Delivered, c.Duplicated, c.Replayed, c.Reordered
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

// judge books the faults of the deliveries.
func (r *run) judge(f *result.Sent, c account.Counters, exact bool) {
	if n := f.Missing - f.MissingMoved - f.MissingCut; n > 0 {
		r.fail("%d of %d deliveries are missing, on %d subscriptions", n, f.Expected, f.Incomplete)
	}
	if n := f.MissingCut; n > 0 {
		text := fmt.Sprintf("%d deliveries are missing that passed while clients were cut at the proxy", n)
		if r.plan.Durable {
			r.fail("%s, although they came back with their positions and the messages are durable", text)
		} else {
			r.warn("%s: plain messages are at most once, and replayed only by the node that had them", text)
		}
	}
	if n := f.MissingMoved; n > 0 {
		text := fmt.Sprintf("%d of %d deliveries to clients that were away are missing", n, f.ExpectedMoved)
		if r.plan.Resume && r.plan.Durable {
			r.fail("%s, although they came back with their positions and the messages are durable", text)
		} else {
			r.warn("%s: plain messages are at most once; --durable --resume has clients get them later", text)
		}
	}
	if f.Published > 0 && f.Unheard == f.Published {
		r.fail("no gateway was subscribed in Redis: --redis and --prefix must be the gateway's own")
	} else if f.Unheard > 0 {
		r.warn("for %d of %d messages Redis knew no subscriber", f.Unheard, f.Published)
	}
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{c.Duplicated, "came more than once"},
		{c.Reordered, "came after a later one of their channel"},
		{c.Misdirected, "came to clients that had not subscribed to their channel"},
		{c.Damaged, "came damaged"},
		{c.Unknown, "were not in the wire's format"},
	} {
		if x.n > 0 {
			r.fail("%d messages %s", x.n, x.what)
		}
	}
	if c.Foreign > 0 {
		r.warn("%d messages were not of this run: the channels are in use by others", c.Foreign)
	}
	if !exact {
		r.warn("so much is missing that late messages can't be told from duplicates; the number missing is exact")
	}
	if f.Skipped > 0 {
		r.fail("%d of %d messages were not sent when they were due, nor within %v, so the load was less than asked", f.Skipped, f.Asked, r.plan.MaxLate)
	}
	if f.FateUnknown > 0 {
		r.fail("%s did not answer for %d messages: %d of their deliveries did not come, and are not counted as missing", f.By(), f.FateUnknown, f.UnknownMissing)
	}
	if f.Late > 0 {
		r.warn("%d messages were sent more than %v late: publishing did not keep up; read the latency from the intended time", f.Late, account.LateAfter)
	}
}
