package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Fanout connects the clients, waits until all are subscribed, publishes and
// accounts for every message of every subscription. Its error is a run that
// could not begin; the result tells of all others.
func Fanout(ctx context.Context, c Config, o Options) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := newRedisPublisher(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.close()
	return fanout(ctx, c, o, p)
}

// fanout is Fanout over any publisher.
func fanout(ctx context.Context, c Config, o Options, p publisher) (*Result, error) {
	r, err := newRun(ctx, "fanout", c, o)
	if err != nil {
		return nil, err
	}
	if r.connect(ctx) {
		r.publish(ctx, p)
	}
	return r.finish(), nil
}

// publish sends the messages and waits until they have come.
func (r *run) publish(ctx context.Context, p publisher) {
	r.phase.Store(PhasePublish)
	w, err := newPublishing(r, p)
	if err != nil {
		r.note("counting subscribers", err)
		return
	}
	from, serverFrom := r.effort(), r.sampleServer()
	sent := w.all(ctx)
	published := r.engine.now()
	r.note("publishing", sent)
	if ctx.Err() == nil {
		r.phase.Store(PhaseWait)
		r.complete(ctx, w)
	}
	effort := r.effort().since(from)
	server := r.sampleServer()
	// Duplicates may trail behind the last message; they are no progress that
	// could be waited for.
	if err := r.engine.sleep(ctx, r.plan.Settle); err != nil {
		r.note("looking for duplicates", err)
	}
	r.account(w, published, effort)
	if s := r.result.Server; s != nil && effort.Seconds > 0 {
		cpu := server.CPU - serverFrom.CPU
		s.CPUPublishing = cpu / effort.Seconds
		if n := r.engine.totals().delivered; n > 0 {
			s.CPUPerDelivery = cpu / float64(n) * 1e6
		}
	}
}

// complete waits for the messages that are still on their way.
func (r *run) complete(ctx context.Context, w *publishing) {
	err := r.engine.wait(ctx, r.plan.Timeout, func(t totals) bool { return t.delivered >= w.expected })
	if !errors.Is(err, errQuiet) {
		r.note("waiting for the messages", err)
	}
}

// account compares what was published with what came.
func (r *run) account(w *publishing, published int64, e Effort) {
	p := r.plan
	f := &Sent{
		Channels:  uint32(len(w.channels)),
		Size:      p.Size,
		Durable:   p.Durable,
		Rate:      p.Rate,
		Asked:     p.Messages,
		Published: w.published,
		Late:      w.late,
		Skipped:   w.skipped,
		Unheard:   w.unheard,
		Expected:  w.expected,
		Publish:   summarize(w.roundTrip),
		Effort:    e,
	}
	r.result.Fanout = f
	f.Completion = summarize(w.completion)
	if err := r.engine.each(func(l *loop) { l.audit(w.sequence, f) }); err != nil {
		r.note("counting", err)
		return
	}
	snap, err := r.engine.collect()
	if err != nil {
		r.note("counting", err)
		return
	}
	_, _, f.Due, f.Real = r.engine.latencies()
	if w.first > 0 {
		f.Seconds = time.Duration(max(r.engine.totals().latest, published) - w.first).Seconds()
		f.PerSecond = perSecond(float64(w.published), time.Duration(published-w.first).Seconds())
		f.DeliveredPS = perSecond(float64(snap.counters.Delivered), time.Duration(r.engine.totals().latest-w.first).Seconds())
	}
	r.judge(f, snap)
}

// perSecond is n over a time that may be too short to divide by.
func perSecond(n, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return n / seconds
}

// judge says what is wrong with the deliveries.
func (r *run) judge(f *Sent, s snapshot) {
	c := s.counters
	if f.Missing > 0 {
		r.fail("%d of %d deliveries are missing, on %d subscriptions", f.Missing, f.Expected, f.Incomplete)
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
	if !s.exact {
		r.warn("so much is missing that late messages can't be told from duplicates; the number missing is exact")
	}
	if f.Skipped > 0 {
		r.fail("%d of %d messages were not sent: more than %v late, so the load was less than asked", f.Skipped, f.Asked, r.plan.MaxLate)
	}
	if f.Late > 0 {
		r.warn("%d messages were sent more than %v late: publishing did not keep up; read the latency from the intended time", f.Late, lateAfter)
	}
}

// maxExamples is how many incomplete subscriptions a result names.
const maxExamples = 5

// audit counts what the loop's subscriptions miss of what was published.
func (l *loop) audit(published []uint32, f *Sent) {
	channels := &l.plan.channels
	for slot := range l.clients {
		if l.clients[slot].flags&counted == 0 {
			continue
		}
		for k := range channels.PerClient() {
			client := l.number(uint32(slot))
			ch := channels.Of(client, k)
			n, first := l.ledger.missing(uint32(slot*channels.PerClient()+k), published[ch])
			if n == 0 {
				continue
			}
			f.Missing += n
			f.Incomplete++
			if len(f.Examples) < maxExamples {
				f.Examples = append(f.Examples, fmt.Sprintf("client %d on %s: %d missing, the first is number %d of %d",
					client, channels.AppendName(nil, ch), n, first, published[ch]))
			}
		}
	}
}
