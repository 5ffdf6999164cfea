package ratios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loopback"
)

// channel is the one that all clients subscribe to.
const channel = "bench"

// path is a WebSocket endpoint of both servers; the bare loop takes any.
const path = "/v1/ws?channels=" + channel

// Heartbeat intervals of the gateway beside the one whose pings are measured.
const (
	noHeartbeat    = time.Hour        // falls not due while deliveries are measured
	usualHeartbeat = 25 * time.Second // the default, for the measurement of memory
)

// gateway measures the gateway as it comes.
func (l *lab) gateway(ctx context.Context, f *figures) error {
	if err := l.sends(ctx, "auto", f); err != nil {
		return err
	}
	if err := l.withGateway(ctx, l.interval, "auto", f, func(t *target) error { return t.heartbeats(ctx) }); err != nil {
		return err
	}
	return l.withGateway(ctx, usualHeartbeat, "auto", f, func(t *target) error { return t.growth(ctx) })
}

// sends sets the figures of handshake and deliveries of a gateway with or
// without io_uring.
func (l *lab) sends(ctx context.Context, ioUring string, f *figures) error {
	return l.withGateway(ctx, noHeartbeat, ioUring, f, func(t *target) error {
		if err := t.handshakes(ctx); err != nil {
			return err
		}
		return t.deliveries(ctx)
	})
}

func (l *lab) withGateway(ctx context.Context, interval time.Duration, ioUring string, f *figures, fn func(*target) error) error {
	args := []string{
		"--heartbeat.interval", interval.String(),
		"--heartbeat.timeout", (interval * 3 / 4).String(), // the machine may be busy
		"--limits.connections", fmt.Sprint(l.most()),
		"--socket.io_uring", ioUring,
		"--shards", fmt.Sprint(l.loops),
	}
	secure, err := loopback.Reserve()
	if err != nil {
		return err
	}
	if l.config != nil {
		args = append(args, "--tls.self_signed", "--tls.listen", secure)
	}
	g, err := l.Gateway(ctx, args...)
	if err != nil {
		return err
	}
	defer g.Kill()
	remote := g.Listen
	if l.config != nil {
		remote = netip.MustParseAddrPort(secure)
	}
	return l.with(g.Process, remote, client.Gateway(), f, func(t *target) error {
		t.send = func(n int) error { return l.publish(ctx, n) }
		t.batched = func() (float64, error) {
			m, err := g.Metrics(ctx)
			return m["gateway_batched_sends_total"], err
		}
		return fn(t)
	})
}

// publish publishes n messages in one go.
func (l *lab) publish(ctx context.Context, n int) error {
	payload := `"` + strings.Repeat("x", l.size-2) + `"`
	_, err := l.Redis.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for range n {
			pipe.Publish(ctx, rig.RedisPrefix+channel, payload)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// heartbeats sets the ping's figure from some intervals of the gateway's own
// heartbeat.
func (t *target) heartbeats(ctx context.Context) error {
	const idleTime = 2 * time.Second // without clients
	begin := t.CPU()
	if err := rig.Pause(ctx, idleTime); err != nil {
		return err
	}
	idle := t.micros(begin) / idleTime.Seconds() // us of CPU in a second
	if err := t.clients.Connect(ctx, t.connections); err != nil {
		return err
	}
	// From the second interval on every client is pinged once in each.
	first, err := t.pings(ctx, t.connections)
	if err != nil {
		return err
	}
	start, begin := time.Now(), t.CPU()
	last, err := t.pings(ctx, first+t.cycles*t.connections)
	t.figures.ping = (t.micros(begin) - idle*time.Since(start).Seconds()) / float64(last-first)
	return err
}

// pings waits until the clients have had n pings and for a pause after that, so
// that none is half accounted for; it returns how many they have had by then. A
// server that makes no pause is measured as it is.
func (t *target) pings(ctx context.Context, n int) (pings int, err error) {
	const pause = 20 * time.Millisecond
	c := t.clients
	if _, err := c.Wait(ctx, fmt.Sprintf("%d pings", n), func() bool { return c.Pings >= n }); err != nil {
		return 0, err
	}
	for end := time.Now().Add(time.Second); ; {
		var heard time.Time
		c.Do(func() { heard, pings = c.Heard, c.Pings })
		if time.Since(heard) >= pause || time.Now().After(end) {
			return pings, nil
		}
		if err := rig.Pause(ctx, pause/4); err != nil {
			return 0, err
		}
	}
}
