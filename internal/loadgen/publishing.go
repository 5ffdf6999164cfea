package loadgen

import (
	"context"
	"errors"
	"fmt"
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
// what was sent. It is used by one goroutine.
type publishing struct {
	run       *run
	publisher publisher

	channels  []uint32 // those with subscribers, in turn
	listeners []uint32 // per channel: ready clients
	sequence  []uint32 // per channel: the last number sent

	batch    []publication
	payloads [publishBatch][]byte

	published, late, skipped, unheard int
	expected                          uint64
	first                             int64 // ns, when the first was sent

	roundTrip  *hdrhistogram.Histogram
	completion *hdrhistogram.Histogram
}

// newPublishing counts the subscribers of each channel.
func newPublishing(r *run, p publisher) (*publishing, error) {
	total := r.plan.channels.Total()
	w := &publishing{
		run:        r,
		publisher:  p,
		listeners:  make([]uint32, total),
		sequence:   make([]uint32, total),
		roundTrip:  newHistogram(),
		completion: newHistogram(),
	}
	if err := r.engine.each(func(l *loop) { l.countListeners(w.listeners) }); err != nil {
		return nil, err
	}
	for ch, n := range w.listeners {
		if n > 0 {
			w.channels = append(w.channels, uint32(ch))
		}
	}
	return w, nil
}

// countListeners adds the loop's ready clients to their channels.
func (l *loop) countListeners(listeners []uint32) {
	for slot := range l.clients {
		c := &l.clients[slot]
		c.flags &^= counted
		if c.state != ready {
			continue
		}
		c.flags |= counted
		for k := range l.plan.channels.PerClient() {
			listeners[l.plan.channels.Of(l.number(uint32(slot)), k)]++
		}
	}
}

// all sends every message: at the rate asked for, or each when the one before
// has come to all.
func (w *publishing) all(ctx context.Context) error {
	if len(w.channels) == 0 {
		return errors.New("no client is left to publish to")
	}
	if w.run.plan.Rate > 0 {
		return w.paced(ctx)
	}
	return w.inTurn(ctx)
}

// paced is the open model: the slots' times don't depend on how the server
// does. What is due goes out in one batch; what is later than MaxLate is
// counted and not sent.
func (w *publishing) paced(ctx context.Context) error {
	p, e := w.run.plan, w.run.engine
	pace := NewPacer(p.Rate)
	start := e.now()
	for slot := 0; slot < p.Messages; {
		elapsed := timeSince(e.now(), start)
		due := int(min(pace.Due(elapsed), uint64(p.Messages)))
		if slot >= due {
			if err := e.sleep(ctx, pace.At(uint64(slot))-elapsed); err != nil {
				return err
			}
			continue
		}
		w.batch = w.batch[:0]
		for ; slot < due && len(w.batch) < publishBatch; slot++ {
			at := pace.At(uint64(slot))
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
func (w *publishing) inTurn(ctx context.Context) error {
	p, e := w.run.plan, w.run.engine
	for i := range p.Messages {
		ch := w.channels[i%len(w.channels)]
		w.batch = w.batch[:0]
		sent := e.now()
		w.add(ch, sent)
		if err := w.flush(ctx); err != nil {
			return err
		}
		err := e.wait(ctx, p.Timeout, func(t totals) bool { return t.delivered >= w.expected })
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

// add puts the next message of a channel into the batch.
func (w *publishing) add(ch uint32, due int64) {
	p := w.run.plan
	w.sequence[ch]++
	k := len(w.batch)
	s := Stamp{Channel: ch, Seq: w.sequence[ch], Due: due, Sent: w.run.engine.now()}
	w.payloads[k] = appendPayload(w.payloads[k][:0], p.run, s, p.Size)
	w.batch = append(w.batch, publication{string(p.channels.AppendName(nil, ch)), w.payloads[k]})
	w.expected += uint64(w.listeners[ch])
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
	w.run.expected.Store(w.expected)
	w.run.published.Store(uint64(w.published + len(w.batch)))
	unheard, err := w.publisher.publish(ctx, w.batch)
	w.published += len(w.batch)
	w.unheard += unheard
	record(w.roundTrip, w.run.engine.now()-sent)
	return err
}

// sleep waits on the run's clock.
func (e *engine) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.dead:
		return e.fault
	}
}
