package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// publishing spreads a run's messages over its channels and keeps the account of
// one window of the run. It is used by one goroutine.
type publishing struct {
	run       *run
	publisher publish.Publisher

	channels  []uint32 // with subscribers, in turn
	listeners []uint32 // per channel: clients that are accounted for
	moved     []uint32 // of them the ones that the run cuts

	batch    []publish.Message
	payloads [publish.PublishBatch][]byte
	stamps   [publish.PublishBatch]account.Stamp

	sent            *result.Sent    // the account; the deliveries come into it at the end
	lapses          []account.Lapse // messages that no client is expected to get
	expectedUnknown uint64          // beside the expected, should Redis have taken them
	before          account.Totals
	first           int64 // ns, when the first was sent
	last            int64 // ns, when all were

	// Of the open model.
	pace   account.Pacer
	start  int64 // ns; 0: it was not begun
	next   int   // the first slot that was not reached
	stopAt int64 // ns, set before stop is closed
	ended  int64 // ns, of an error of Redis

	roundTrip  *hdrhistogram.Histogram
	completion *hdrhistogram.Histogram
}

// newPublishing begins a window: it counts the subscribers of each channel, the ones that the
// run cuts only if movers is set.
func newPublishing(r *run, p publish.Publisher, movers bool) (*publishing, error) {
	if r.sequence == nil {
		r.sequence = make([]uint32, r.plan.ChannelSet.Total())
	}
	w := &publishing{run: r, publisher: p, roundTrip: account.NewHistogram(), completion: account.NewHistogram(),
		sent: &result.Sent{Via: p.Via(), Size: r.plan.Size, Durable: r.plan.Durable, Rate: r.plan.Rate}}
	a, err := r.clients.Execute(client.Command{Do: client.DoBegin, Sequence: r.sequence, On: movers})
	if err != nil {
		return nil, err
	}
	w.listeners, w.moved = a.Listeners, a.Moved
	w.before = r.clients.Totals()
	for ch, n := range w.listeners {
		if n > 0 {
			w.channels = append(w.channels, uint32(ch))
		}
	}
	w.sent.Channels = uint32(len(w.channels))
	return w, nil
}

// all sends every message: at the rate asked for, until there were n or, with n 0, until stop
// is closed; or each when the one before has reached all.
func (w *publishing) all(ctx context.Context, n int, stop <-chan struct{}) error {
	if len(w.channels) == 0 {
		return errors.New("no client is left to publish to")
	}
	var err error
	if w.run.plan.Rate > 0 {
		w.pace, w.start = account.Pacer{Rate: w.run.plan.Rate}, w.run.clients.now()
		err = w.paced(ctx, n, stop)
	} else {
		err = w.inTurn(ctx, n)
	}
	w.last = w.run.clients.now()
	return err
}

// paced is the open model: the slots' times don't depend on how the server
// does. Due slots go out in one batch; a slot later than MaxLate is
// counted and not sent.
func (w *publishing) paced(ctx context.Context, n int, stop <-chan struct{}) error {
	p, e := w.run.plan, w.run.clients
	given := n > 0
	if given {
		w.run.lasts(w.pace.At(uint64(n)))
	} else {
		n = math.MaxInt
	}
	for w.next < n {
		select {
		case <-stop:
			// Slots due by then are late, and not left out.
			n, stop = w.dueBy(w.stopAt), nil
			continue
		default:
		}
		elapsed := account.Elapsed(e.now(), w.start)
		due := int(min(w.pace.Due(elapsed), uint64(n)))
		if w.next >= due {
			if err := e.sleep(ctx, w.pace.At(uint64(w.next))-elapsed, stop); err != nil {
				return err
			}
			continue
		}
		w.batch = w.batch[:0]
		for ; w.next < due && len(w.batch) < publish.PublishBatch; w.next++ {
			at := w.pace.At(uint64(w.next))
			if elapsed-at > p.MaxLate {
				w.skip(w.next, elapsed-at)
				continue
			}
			if elapsed-at > account.LateAfter {
				w.sent.Late++
			}
			w.add(w.channels[w.next%len(w.channels)], w.start+int64(at))
		}
		if err := w.flush(ctx); err != nil {
			w.next = min(w.next, n)
			return err
		}
	}
	if given {
		// n messages take n intervals: with one less, the rates would be too high.
		return e.sleep(ctx, w.pace.At(uint64(n))-account.Elapsed(e.now(), w.start), nil)
	}
	return nil
}

// dueBy is how many slots were due at a time.
func (w *publishing) dueBy(at int64) int {
	return int(min(w.pace.Due(account.Elapsed(at, w.start)), math.MaxInt))
}

// skip counts a slot that is not sent. Its deliveries take longer than it is
// late by now, and that much is in the percentiles.
func (w *publishing) skip(slot int, late time.Duration) {
	w.sent.Skipped++
	w.run.clients.owe(late, w.listeners[w.channels[slot%len(w.channels)]])
}

// settle completes the books of the slots: n were asked for, or with n 0 all that were due
// until the end. Slots that an error kept from being reached were skipped if they were due by
// then, and else not sent.
func (w *publishing) settle(n int) {
	f := w.sent
	if f.Asked = n; w.start > 0 {
		if n == 0 {
			f.Asked = max(w.next, w.dueBy(w.stopAt))
		}
		for ended := w.dueBy(w.ended); w.ended > 0 && w.next < min(ended, f.Asked); w.next++ {
			w.skip(w.next, account.Elapsed(w.ended, w.start)-w.pace.At(uint64(w.next)))
		}
	}
	f.NotSent += f.Asked - w.next
}

// inTurn sends one message when the one before has reached all its subscribers. It ends at the
// first that does not.
func (w *publishing) inTurn(ctx context.Context, n int) error {
	p, e := w.run.plan, w.run.clients
	for w.next < n {
		ch := w.channels[w.next%len(w.channels)]
		w.next++
		w.batch = w.batch[:0]
		sent := e.now()
		w.add(ch, sent)
		if err := w.flush(ctx); err != nil {
			return err
		}
		err := e.wait(ctx, p.Timeout, w.complete)
		if errors.Is(err, errQuiet) {
			return fmt.Errorf("message %d did not come to all within %v; stopped there", w.next, p.Timeout)
		}
		if err != nil {
			return err
		}
		account.Record(w.completion, e.Totals().Latest-sent)
	}
	return nil
}

// complete reports whether all messages of this window have arrived.
func (w *publishing) complete(t account.Totals) bool {
	return t.Delivered-w.before.Delivered >= w.sent.Expected
}

// completeButMoved reports the same of the clients that stayed.
func (w *publishing) completeButMoved(t account.Totals) bool {
	return t.Delivered-w.before.Delivered-(t.Moved-w.before.Moved) >= w.sent.Expected-w.sent.ExpectedMoved
}

// add puts the next message of a channel into the batch.
func (w *publishing) add(ch uint32, due int64) {
	p := w.run.plan
	w.run.sequence[ch]++
	k := len(w.batch)
	s := account.Stamp{Channel: ch, Seq: w.run.sequence[ch], Due: due, Sent: w.run.clients.now()}
	w.stamps[k] = s
	w.payloads[k] = p.AppendMessage(w.payloads[k][:0], s)
	w.batch = append(w.batch, publish.Message{Channel: string(p.ChannelSet.AppendName(nil, ch)), Payload: w.payloads[k]})
	w.sent.Expected += uint64(w.listeners[ch])
	w.sent.ExpectedMoved += uint64(w.moved[ch])
}

// flush sends the batch and books the result of each message.
func (w *publishing) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	sent := w.run.clients.now()
	if w.first == 0 {
		w.first = sent
	}
	w.run.expected.Store(w.before.Delivered + w.sent.Expected)
	w.run.published.Add(uint64(len(w.batch)))
	results, err := w.publisher.Publish(ctx, w.batch)
	now := w.run.clients.now()
	if account.Record(w.roundTrip, now-sent); err != nil && ctx.Err() == nil {
		w.ended = now
	}
	for k, f := range results {
		switch f {
		case publish.Unheard:
			w.sent.Unheard++
			fallthrough
		case publish.Taken:
			w.sent.Published++
		default:
			w.notExpected(w.stamps[k], f)
		}
	}
	w.run.expected.Store(w.before.Delivered + w.sent.Expected)
	return err
}

// notExpected takes a message that Redis may not have off the expected ones.
func (w *publishing) notExpected(s account.Stamp, f publish.Result) {
	w.sent.Expected -= uint64(w.listeners[s.Channel])
	w.sent.ExpectedMoved -= uint64(w.moved[s.Channel])
	w.lapses = append(w.lapses, account.Lapse{Channel: s.Channel, Seq: s.Seq, Unknown: f == publish.Unknown})
	switch f {
	case publish.Refused:
		w.sent.Refused++
	case publish.Unsent:
		w.sent.NotSent++
	default:
		w.sent.FateUnknown++
		w.expectedUnknown += uint64(w.listeners[s.Channel])
	}
}
