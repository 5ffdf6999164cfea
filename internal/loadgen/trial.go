package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// trialWait is how long messages for trial are tried without any that comes.
	trialWait = 10 * time.Second
	// trialAgain is how long a subscription may take before they are repeated.
	trialAgain = time.Second
)

// trial has messages published to a foreign server until one has come on every
// subscription whose messages are counted. Such a server does not say when a
// client is subscribed: a message from before would be missing by no fault of the
// server. A trial also shows at once when messages come to nobody. Its own have
// number 0 and are not counted.
func (r *run) trial(ctx context.Context, w *publishing) error {
	var want int64
	for _, n := range w.listeners {
		want += int64(n)
	}
	per := int64(r.plan.channels.PerClient())
	all := func(t totals) bool { return t.Heard >= min(want, t.Up*per) } // some may be lost
	if all(r.clients.totals()) {
		return nil
	}
	best, until := int64(0), time.Now().Add(trialWait)
	for time.Now().Before(until) {
		if err := w.try(ctx); err != nil {
			return err
		}
		err := r.clients.wait(ctx, trialAgain, all)
		if err == nil || !errors.Is(err, errQuiet) {
			return err
		}
		if t := r.clients.totals(); t.Heard > best {
			best, until = t.Heard, time.Now().Add(trialWait)
		}
	}
	t := r.clients.totals()
	if best == 0 {
		return fmt.Errorf("not one of %d subscriptions got a message that was published for a trial: does %s publish to the channels that --hello or --url subscribes to?", want, w.publisher.via())
	}
	r.warn("%d of %d subscriptions got none of the messages that were published for a trial: these clients may not be subscribed", want-t.Heard, want)
	return nil
}

// try publishes a message for trial on each channel.
func (w *publishing) try(ctx context.Context) error {
	for _, ch := range w.channels {
		s := Stamp{Channel: ch, Due: w.run.clients.now(), Sent: w.run.clients.now()}
		k := len(w.batch)
		w.payloads[k] = w.run.plan.appendMessage(w.payloads[k][:0], s)
		w.batch = append(w.batch, publication{string(w.run.plan.channels.AppendName(nil, ch)), w.payloads[k]})
		if len(w.batch) == publishBatch || ch == w.channels[len(w.channels)-1] {
			_, err := w.publisher.publish(ctx, w.batch)
			if w.batch = w.batch[:0]; err != nil {
				return err
			}
		}
	}
	return nil
}

// hear notes that a message for trial has come to a client of whom account is
// kept.
func (l *loop) hear(slot, sub uint32) {
	if l.clients[slot].flags&counted != 0 && l.heard[sub/64]&(1<<(sub%64)) == 0 {
		l.heard[sub/64] |= 1 << (sub % 64)
		l.counters.Heard++
	}
}

// unhear forgets that of a client that is no longer ready.
func (l *loop) unhear(slot uint32) {
	if len(l.heard) == 0 {
		return
	}
	per := uint32(l.plan.channels.PerClient())
	for sub := slot * per; sub < (slot+1)*per; sub++ {
		if l.heard[sub/64]&(1<<(sub%64)) != 0 {
			l.heard[sub/64] &^= 1 << (sub % 64)
			l.counters.Heard--
		}
	}
}
