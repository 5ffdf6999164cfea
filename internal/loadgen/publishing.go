package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// lateAfter is how long after its time a slot may be sent before it counts
	// as late.
	lateAfter = 5 * time.Millisecond
	// publishBatch is how many due slots go to Redis in one round trip.
	publishBatch = 64
)

// publishing spreads a run's messages over its channels and keeps the books of
// what was sent in one window of the run. It is used by one goroutine.
type publishing struct {
	run       *run
	publisher publisher

	channels  []uint32 // those with subscribers, in turn
	listeners []uint32 // per channel: clients of whom account is kept
	moved     []uint32 // of them those that the run cuts

	batch    []publication
	payloads [publishBatch][]byte

	asked, published, late, skipped, unheard int
	expected, expectedMoved                  uint64
	before                                   totals
	first                                    int64 // ns, when the first was sent
	last                                     int64 // ns, when all were

	roundTrip  *hdrhistogram.Histogram
	completion *hdrhistogram.Histogram
}

// newPublishing begins a window: it counts the subscribers of each channel,
// those that the run cuts only if movers are to be counted.
func newPublishing(r *run, p publisher, movers bool) (*publishing, error) {
	if r.sequence == nil {
		r.sequence = make([]uint32, r.plan.channels.Total())
	}
	w := &publishing{run: r, publisher: p, roundTrip: newHistogram(), completion: newHistogram()}
	var err error
	if w.listeners, w.moved, err = r.engine.begin(r.sequence, movers); err != nil {
		return nil, err
	}
	w.before = r.engine.totals()
	for ch, n := range w.listeners {
		if n > 0 {
			w.channels = append(w.channels, uint32(ch))
		}
	}
	return w, nil
}

// all sends every message: at the rate asked for, until there were n or, with
// n 0, until stop is closed; or each when the one before has come to all.
func (w *publishing) all(ctx context.Context, n int, stop <-chan struct{}) error {
	if len(w.channels) == 0 {
		return errors.New("no client is left to publish to")
	}
	var err error
	if w.run.plan.Rate > 0 {
		err = w.paced(ctx, n, stop)
	} else {
		err = w.inTurn(ctx, n)
	}
	w.last = w.run.engine.now()
	return err
}

// paced is the open model: the slots' times don't depend on how the server
// does. What is due goes out in one batch; what is later than MaxLate is
// counted and not sent.
func (w *publishing) paced(ctx context.Context, n int, stop <-chan struct{}) error {
	p, e := w.run.plan, w.run.engine
	pace := NewPacer(p.Rate)
	start := e.now()
	if n == 0 {
		n = math.MaxInt
	}
	for slot := 0; slot < n; {
		select {
		case <-stop:
			return nil
		default:
		}
		elapsed := timeSince(e.now(), start)
		due := int(min(pace.Due(elapsed), uint64(n)))
		if slot >= due {
			if err := e.sleepOr(ctx, pace.At(uint64(slot))-elapsed, stop); err != nil {
				return err
			}
			continue
		}
		w.batch = w.batch[:0]
		for ; slot < due && len(w.batch) < publishBatch; slot++ {
			at := pace.At(uint64(slot))
			w.asked++
			if elapsed-at > p.MaxLate {
				w.skipped++
				continue
			}
			if elapsed-at > lateAfter {
				w.late++
			}
			w.add(w.channels[slot%len(w.channels)], start+int64(at))
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// inTurn sends one message when the one before has come to all its
// subscribers. It ends at the first that does not.
func (w *publishing) inTurn(ctx context.Context, n int) error {
	p, e := w.run.plan, w.run.engine
	w.asked = n
	for i := range n {
		ch := w.channels[i%len(w.channels)]
		w.batch = w.batch[:0]
		sent := e.now()
		w.add(ch, sent)
		if err := w.flush(ctx); err != nil {
			return err
		}
		err := e.wait(ctx, p.Timeout, w.complete)
		if errors.Is(err, errQuiet) {
			return fmt.Errorf("message %d did not come to all within %v; stopped there", i+1, p.Timeout)
		}
		if err != nil {
			return err
		}
		record(w.completion, e.totals().latest-sent)
	}
	return nil
}

// complete reports whether all that was sent in this window has come.
func (w *publishing) complete(t totals) bool { return t.delivered-w.before.delivered >= w.expected }

// completeButMoved reports the same of the clients that stayed.
func (w *publishing) completeButMoved(t totals) bool {
	return t.delivered-w.before.delivered-(t.moved-w.before.moved) >= w.expected-w.expectedMoved
}

// add puts the next message of a channel into the batch.
func (w *publishing) add(ch uint32, due int64) {
	p := w.run.plan
	w.run.sequence[ch]++
	k := len(w.batch)
	s := Stamp{Channel: ch, Seq: w.run.sequence[ch], Due: due, Sent: w.run.engine.now()}
	w.payloads[k] = appendPayload(w.payloads[k][:0], p.run, s, p.Size)
	w.batch = append(w.batch, publication{string(p.channels.AppendName(nil, ch)), w.payloads[k]})
	w.expected += uint64(w.listeners[ch])
	w.expectedMoved += uint64(w.moved[ch])
}

// flush sends the batch. What the clients will see of a failed one is not
// known; it stays in the books, so that it shows.
func (w *publishing) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	sent := w.run.engine.now()
	if w.first == 0 {
		w.first = sent
	}
	w.run.expected.Store(w.before.delivered + w.expected)
	w.run.published.Add(uint64(len(w.batch)))
	unheard, err := w.publisher.publish(ctx, w.batch)
	w.published += len(w.batch)
	w.unheard += unheard
	record(w.roundTrip, w.run.engine.now()-sent)
	return err
}

// sleep waits on the run's clock.
func (e *engine) sleep(ctx context.Context, d time.Duration) error { return e.sleepOr(ctx, d, nil) }

// sleepOr waits no longer than until stop is closed.
func (e *engine) sleepOr(ctx context.Context, d time.Duration, stop <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-stop:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.dead:
		return e.fault
	}
}
