package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// barePings is how often the bare loop pings every client.
const barePings = 10

// idleTime is how long the gateway is watched without clients.
const idleTime = 2 * time.Second

// noHeartbeat is an interval within which no heartbeat falls due while
// deliveries are measured.
const noHeartbeat = time.Hour

// usualHeartbeat is the gateway's default, for the measurement of memory.
const usualHeartbeat = 25 * time.Second

func measureBare(ctx context.Context, o options, dir string, f *figures) error {
	err := withBare(ctx, o, dir, func(b *bare, t target) error {
		if err := t.handshakes(ctx, o.connections, f); err != nil {
			return err
		}
		err := t.deliveries(ctx, o, f, func(n int) error {
			_, err := b.command(fmt.Sprintf("send %d %d", n, o.size))
			return err
		})
		if err != nil {
			return err
		}
		return b.pings(ctx, t, o, f)
	})
	if err != nil {
		return err
	}
	return withBare(ctx, o, dir, func(_ *bare, t target) error { return t.growth(ctx, o, f) })
}

func withBare(ctx context.Context, o options, dir string, fn func(*bare, target) error) error {
	b, err := startBare(ctx, dir)
	if err != nil {
		return err
	}
	defer b.close()
	c, err := newClients(b.listen, false, o.most(), o.inFlight)
	return with(b.Process, c, err, func(t target) error { return fn(b, t) })
}

// pings sets the ping's figure: all clients are pinged at once, and the next
// time once all pongs are in.
func (b *bare) pings(ctx context.Context, t target, o options, f *figures) error {
	us, err := t.spent(func() error {
		for i := range barePings {
			want := (i + 1) * o.connections
			if _, err := b.command("ping"); err != nil {
				return err
			}
			if _, err := t.clients.Wait(ctx, "pings", func() bool { return t.clients.Pings == want }); err != nil {
				return err
			}
			err := b.Until(ctx, "pongs are missing", func() error {
				s, err := b.command("stats")
				if err == nil && s.Pongs != want {
					err = fmt.Errorf("%d of %d", s.Pongs, want)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	f.ping = us / float64(barePings*o.connections)
	return err
}

// measureWrites measures the gateway without io_uring.
func measureWrites(ctx context.Context, o options, dir string, redis *rig.Redis, f *figures) error {
	return withGateway(ctx, o, dir, redis, noHeartbeat, "off", func(t target) error { return t.sends(ctx, o, redis, f) })
}

// sends sets the figures of handshake and deliveries of a gateway.
func (t target) sends(ctx context.Context, o options, redis *rig.Redis, f *figures) error {
	if err := t.handshakes(ctx, o.connections, f); err != nil {
		return err
	}
	if err := t.deliveries(ctx, o, f, func(n int) error { return publish(ctx, redis, n, o.size) }); err != nil {
		return err
	}
	batched, err := rig.Metric(ctx, t.admin, "gateway_batched_sends_total")
	f.batched = batched > 0
	return err
}

func measureGateway(ctx context.Context, o options, dir string, redis *rig.Redis, f *figures) error {
	err := withGateway(ctx, o, dir, redis, noHeartbeat, "auto", func(t target) error { return t.sends(ctx, o, redis, f) })
	if err != nil {
		return err
	}
	err = withGateway(ctx, o, dir, redis, o.interval, "auto", func(t target) error { return t.heartbeats(ctx, o, f) })
	if err != nil {
		return err
	}
	return withGateway(ctx, o, dir, redis, usualHeartbeat, "auto", func(t target) error { return t.growth(ctx, o, f) })
}

func withGateway(ctx context.Context, o options, dir string, redis *rig.Redis, interval time.Duration, ioUring string, fn func(target) error) error {
	g, err := startGateway(ctx, dir, redis, o, interval, ioUring)
	if err != nil {
		return err
	}
	defer g.Kill()
	c, err := newClients(g.Listen, true, o.most(), o.inFlight)
	return with(g.Process, c, err, func(t target) error {
		t.admin = g.Admin
		return fn(t)
	})
}

// heartbeats sets the ping's figure from some intervals of the gateway's own
// heartbeat.
func (t target) heartbeats(ctx context.Context, o options, f *figures) error {
	idle, err := t.spent(func() error { return rig.Pause(ctx, idleTime) })
	if err != nil {
		return err
	}
	idle /= idleTime.Seconds() // us of CPU in a second
	if err := t.clients.connect(ctx, o.connections); err != nil {
		return err
	}
	// From the second interval on every client is pinged once in each.
	first, err := t.beats(ctx, o.connections)
	if err != nil {
		return err
	}
	start, last := time.Now(), 0
	us, err := t.spent(func() error {
		last, err = t.beats(ctx, first+o.cycles*o.connections)
		return err
	})
	if err != nil {
		return err
	}
	f.ping = (us - idle*time.Since(start).Seconds()) / float64(last-first)
	return nil
}

// beats waits until the clients have had so many pings, and for a pause after
// that; it returns how many they have had by then.
func (t target) beats(ctx context.Context, n int) (pings int, err error) {
	if _, err := t.clients.Wait(ctx, fmt.Sprintf("%d pings", n), func() bool { return t.clients.Pings >= n }); err != nil {
		return 0, err
	}
	if err := t.clients.quiet(); err != nil {
		return 0, err
	}
	err = t.clients.Do(func() { pings = t.clients.Pings })
	return pings, err
}
