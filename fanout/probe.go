package fanout

import (
	"context"
	"fmt"
	"time"
)

// missedProbes in a row mean that Redis doesn't deliver.
const missedProbes = 3

// probe publishes to the link's own channel at each interval and fails the
// session when three intervals passed without one coming back. Redis may be
// reachable and still not deliver: stopped, swapping, or cut off in one
// direction only, and TCP notices that after minutes.
func (l *link) probe(ctx context.Context, fail context.CancelCauseFunc) {
	interval := l.b.config.ProbeInterval
	tick := time.NewTicker(interval)
	defer tick.Stop()
	missed := 0
	for {
		sent := time.Since(l.start)
		err := l.sendProbe(ctx, interval)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Duration(l.heard.Load()) >= sent {
			missed = 0
			continue
		}
		missed++
		l.b.counters.probesMissed.Add(1)
		if missed == missedProbes {
			if err == nil {
				err = context.DeadlineExceeded
			}
			fail(fmt.Errorf("%d probes did not come back: %w", missedProbes, err))
			return
		}
	}
}

func (l *link) sendProbe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return l.b.client.Publish(ctx, l.probeName, "").Err()
}

// probeHeard is called by receive for each probe that comes back.
func (l *link) probeHeard() {
	l.heard.Store(int64(time.Since(l.start)))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.probed {
		l.probed = true
		l.checkUp()
	}
}
