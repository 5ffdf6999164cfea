package loadgen

import (
	"context"
	"fmt"
)

// Fanout connects the clients, waits until all are subscribed, publishes and
// accounts for every message of every subscription. Its error is a run that
// could not begin; the result tells of all others.
func Fanout(ctx context.Context, c Config, o Options) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := newPublisher(ctx, c)
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
	if r.plan.stages != nil {
		r.stages(ctx, p)
	} else if r.connect(ctx) {
		r.result.Fanout = r.window(ctx, p, load{messages: r.plan.Messages})
	}
	return r.finish(), nil
}

// perSecond is n over a time that may be too short to divide by.
func perSecond(n, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return n / seconds
}

// judge says what is wrong with the deliveries.
func (r *run) judge(f *Sent, c Counters, exact bool) {
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
		r.fail("%s did not answer for %d messages: %d of their deliveries did not come, and are not counted as missing", f.by(), f.FateUnknown, f.UnknownMissing)
	}
	if f.Late > 0 {
		r.warn("%d messages were sent more than %v late: publishing did not keep up; read the latency from the intended time", f.Late, lateAfter)
	}
}

// maxExamples is how many incomplete subscriptions a result names.
const maxExamples = 5

// audit is what subscriptions miss of what was published.
type audit struct {
	Missing    uint64   `json:"missing"`
	Moved      uint64   `json:"moved"`   // of it, of clients that the run cut
	Cut        uint64   `json:"cut"`     // of it, while a proxy may have cut the client
	Unknown    uint64   `json:"unknown"` // beside it, of messages that Redis did not answer for
	Incomplete uint64   `json:"incomplete"`
	Examples   []string `json:"examples"`
	Exact      bool     `json:"exact"`
}

func (a *audit) add(o audit) {
	a.Missing += o.Missing
	a.Moved += o.Moved
	a.Cut += o.Cut
	a.Unknown += o.Unknown
	a.Incomplete += o.Incomplete
	a.Exact = a.Exact && o.Exact
	a.Examples = append(a.Examples, o.Examples[:min(len(o.Examples), maxExamples-len(a.Examples))]...)
}

// audit adds what the loop's subscriptions miss.
func (l *loop) audit(published []uint32, lapses []lapse, a *audit) {
	channels := &l.plan.channels
	a.Exact = a.Exact && l.ledger.exact()
	for slot := range l.clients {
		c := &l.clients[slot]
		if c.flags&counted == 0 {
			continue
		}
		for k := range channels.PerClient() {
			client := l.number(uint32(slot))
			ch := channels.Of(client, k)
			sub := uint32(slot*channels.PerClient() + k)
			n, first := l.ledger.missing(sub, published[ch])
			if n > 0 && len(lapses) > 0 {
				n, first = a.excuse(&l.ledger, sub, lapses, ch, published[ch], n, first)
			}
			if n == 0 {
				continue
			}
			a.Missing += n
			a.Incomplete++
			switch {
			case c.flags&moving != 0:
				a.Moved += n
			default:
				a.Cut += min(n, l.ledger.missedAway(sub, published[ch]))
			}
			if len(a.Examples) < maxExamples {
				a.Examples = append(a.Examples, fmt.Sprintf("client %d on %s: %d missing, the first is number %d of %d",
					client, channels.AppendName(nil, ch), n, first, published[ch]))
			}
		}
	}
}
