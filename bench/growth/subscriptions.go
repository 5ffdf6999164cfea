package growth

import (
	"context"
	"fmt"
)

// measureSubscriptions gives the clients of one gateway more and more channels,
// which they share, and then sends messages on all of them in turn.
func measureSubscriptions(ctx context.Context, l *lab, s scale, r *result) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	for _, n := range s.Subscriptions {
		held, m, err := site.hold(ctx, []int{s.Subscribers}, each("s%d", n), s.Hold)
		if err != nil {
			return fmt.Errorf("%d subscriptions: %w", n, err)
		}
		x := r.at(fmt.Sprint(n), float64(n))
		x.add(figureRSS, m[0].rss)
		x.add(figureLive, m[0].live)
		x.add(figureConnect, held.Connect.Seconds)
	}
	for _, n := range ordered(l, s.Subscriptions) {
		l.say("messages to clients with %d subscriptions", n)
		if err := site.inTurn(ctx, r.at(fmt.Sprint(n), 0), s.Subscribers, each("s%d", n), plainSize, s.Deliveries/s.Subscribers); err != nil {
			return fmt.Errorf("%d subscriptions: %w", n, err)
		}
	}
	return nil
}
