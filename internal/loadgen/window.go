package loadgen

import (
	"context"
	"errors"
	"time"
)

// load is what is published in a window.
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

// window publishes, waits for what is still on its way, and accounts for every
// message of every subscription. Nil: it could not begin, or nothing was to be
// published.
func (r *run) window(ctx context.Context, p publisher, d load) *Sent {
	r.enter(PhasePublish)
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
	before, _ := r.engine.collect()
	r.engine.takePhase()
	r.note("publishing", r.send(ctx, w, d))
	if ctx.Err() == nil {
		r.enter(PhaseWait)
		r.awaitMessages(ctx, w)
	}
	effort := r.effort().since(from)
	cpu, cpuKnown := r.sampleServer().CPUSince(serverFrom)
	// Duplicates may trail behind the last message; they are no progress that
	// could be waited for.
	if err := r.engine.sleep(ctx, r.plan.Settle); err != nil {
		r.note("looking for duplicates", err)
	}
	f := r.account(w, effort, &before.Counters)
	if cpuKnown && !r.restarted {
		f.ServerCPU = &cpu
	}
	r.bookPublishing(f)
	return f
}

// bookPublishing says what the server spent on messages.
func (r *run) bookPublishing(f *Sent) {
	s := r.result.Server
	if s == nil || f.Effort.Seconds <= 0 || f.ServerCPU == nil {
		return
	}
	s.CPUPublishing = *f.ServerCPU / f.Effort.Seconds
	if f.Delivered > 0 {
		s.CPUPerDelivery = *f.ServerCPU / float64(f.Delivered) * 1e6
	}
}

// send publishes and runs what is to happen meanwhile.
func (r *run) send(ctx context.Context, w *publishing, d load) error {
	defer func() { w.settle(d.messages) }()
	if d.during == nil {
		return w.all(ctx, d.messages, nil)
	}
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() { sent <- w.all(ctx, d.messages, stop) }()
	d.during(ctx)
	w.stopAt = r.engine.now()
	close(stop)
	return <-sent
}

// awaitMessages waits for the messages that are still on their way.
func (r *run) awaitMessages(ctx context.Context, w *publishing) {
	// With nobody left nothing more can come.
	err := r.engine.wait(ctx, r.plan.Timeout, func(t totals) bool { return t.nobody() || w.completeButMoved(t) })
	if err == nil && w.expectedMoved > 0 {
		err = r.engine.wait(ctx, min(awayWait, r.plan.Timeout), func(t totals) bool { return t.nobody() || w.complete(t) })
	}
	if err == nil && w.expectedUnknown > 0 {
		// Those without an answer may stand for some that are still to come.
		all := w.expected + w.expectedUnknown
		err = r.engine.wait(ctx, min(awayWait, r.plan.Timeout), func(t totals) bool { return t.nobody() || t.delivered-w.before.delivered >= all })
	}
	if !errors.Is(err, errQuiet) {
		r.note("waiting for the messages", err)
	}
}

// account compares what was published with what came.
func (r *run) account(w *publishing, e Effort, before *Counters) *Sent {
	p := r.plan
	f := &Sent{
		Channels:      uint32(len(w.channels)),
		Via:           w.publisher.via(),
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
		Publish:       summarize(w.roundTrip),
		Completion:    summarize(w.completion),
		Effort:        e,
	}
	r.roundTrips.Merge(w.roundTrip)
	if w.first > 0 {
		f.sending = time.Duration(w.last - w.first).Seconds()
		f.PerSecond = perSecond(float64(w.published), f.sending)
	}
	f.Unaudited = true
	a, err := r.engine.audit(r.sequence, w.lapses)
	if err != nil {
		r.note("counting", err)
		return f
	}
	// What came of the messages without an answer was published after all.
	f.UnknownMissing = a.Unknown
	f.Expected += w.expectedUnknown - min(a.Unknown, w.expectedUnknown)
	f.Missing, f.MissingMoved, f.MissingCut, f.Incomplete, f.Examples = a.Missing, a.Moved, a.Cut, a.Incomplete, a.Examples
	snap, err := r.engine.collect()
	if err != nil {
		r.note("counting", err)
		return f
	}
	f.Unaudited = false
	c := snap.Counters
	c.subtract(before)
	f.Delivered, f.Duplicated, f.Replayed, f.Reordered = c.Delivered, c.Duplicated, c.Replayed, c.Reordered
	l := r.engine.takePhase()
	f.Due, f.Real = l.due, l.sent
	r.phaseLatency = l
	if w.first > 0 {
		latest := r.engine.totals().latest
		f.Seconds = time.Duration(max(latest, w.last) - w.first).Seconds()
		f.DeliveredPS = perSecond(float64(f.Delivered), f.Seconds)
	}
	r.judge(f, c, a.Exact)
	return f
}
