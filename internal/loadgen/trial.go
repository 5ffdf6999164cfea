package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
)

const (
	// trialWait is how long trial messages are sent without one arriving.
	trialWait = 10 * time.Second
	// trialAgain is how long a subscription may take before they are repeated.
	trialAgain = time.Second
)

// trial has messages published to a foreign server until one has arrived on every subscription
// whose messages are counted. Such a server does not say when a client is subscribed: a message
// from before would be missing by no fault of the server. A trial also shows at once when
// messages reach nobody. Its own have number 0 and are not counted.
func (w *publishing) trial(ctx context.Context) error {
	r := w.run
	var want int64
	for _, n := range w.listeners {
		want += int64(n)
	}
	per := int64(r.plan.ChannelSet.PerClient())
	all := func(t account.Totals) bool { return t.Heard >= min(want, t.Up*per) } // some may be lost
	if all(r.clients.Totals()) {
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
		if t := r.clients.Totals(); t.Heard > best {
			best, until = t.Heard, time.Now().Add(trialWait)
		}
	}
	t := r.clients.Totals()
	if best == 0 {
		return fmt.Errorf("not one of %d subscriptions got a message that was published for a trial: does %s publish to the channels that --hello or --url subscribes to?", want, w.publisher.Via())
	}
	r.warn("%d of %d subscriptions got none of the messages that were published for a trial: these clients may not be subscribed", want-t.Heard, want)
	return nil
}

// try publishes a trial message on each channel.
func (w *publishing) try(ctx context.Context) error {
	for _, ch := range w.channels {
		s := account.Stamp{Channel: ch, Due: w.run.clients.now(), Sent: w.run.clients.now()}
		k := len(w.batch)
		w.payloads[k] = w.run.plan.AppendMessage(w.payloads[k][:0], s)
		w.batch = append(w.batch, publish.Message{Channel: string(w.run.plan.ChannelSet.AppendName(nil, ch)), Payload: w.payloads[k]})
		if len(w.batch) == publish.PublishBatch || ch == w.channels[len(w.channels)-1] {
			_, err := w.publisher.Publish(ctx, w.batch)
			if w.batch = w.batch[:0]; err != nil {
				return err
			}
		}
	}
	return nil
}
