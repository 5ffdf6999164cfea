package fanout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// missedProbes in a row mean that Redis doesn't deliver.
const missedProbes = 3

var errNotOwner = errors.New("the server has lost its slots to another")

// probe publishes to the connection's own channel at each interval, and returns
// an error when three intervals passed without one coming back. Redis may be
// reachable and still not deliver: stopped, swapping, or cut off in one
// direction only, and TCP notices that after minutes. A server of a Cluster that
// isn't the owner of the probe's slot any more doesn't count either: it may
// still deliver what a new replica gets.
func (f *feed) probe(ctx context.Context) error {
	interval := f.l.b.config.ProbeInterval
	tick := time.NewTicker(interval)
	defer tick.Stop()
	missed := 0
	for {
		sent := time.Since(f.l.start)
		err := f.sendProbe(ctx, interval)
		if err != nil {
			f.l.b.probes.lookAgain(ctx)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if owner, lost := f.l.b.servers.of(ctx, f.probeName); lost != nil || owner != f.server {
			err = errors.Join(err, errNotOwner)
		} else if time.Duration(f.heard.Load()) >= sent {
			missed = 0
			continue
		}
		missed++
		f.l.b.counters.probesMissed.Add(1)
		if missed == missedProbes {
			if err == nil {
				err = context.DeadlineExceeded
			}
			return fmt.Errorf("%d probes did not come back: %w", missedProbes, err)
		}
	}
}

func (f *feed) sendProbe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := f.l.b.probes
	sent := strconv.FormatInt(int64(time.Since(f.l.start)), 10)
	return s.publish(ctx, s.client, f.probeName, sent).Err()
}

// probeHeard is called by receive for each probe that comes back, with the time
// at which it was sent, in nanoseconds since the link's start.
func (f *feed) probeHeard(sent string) {
	l := f.l
	now := int64(time.Since(l.start))
	f.heard.Store(now)
	at, err := strconv.ParseInt(sent, 10, 64)
	if observe := l.b.roundTrip.Load(); observe != nil && err == nil && at <= now {
		(*observe)(time.Duration(now - at))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.probed {
		l.probed = true
		l.checkUp()
	}
}
