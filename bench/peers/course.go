package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// warmUp is how many messages come before those that are measured.
const warmUp = 2

// course is a server on its way through a round.
type course struct {
	options
	server      *running
	connections int
	clients     *client.Clients
	figures     *figures
}

func (m *course) run(ctx context.Context) (err error) {
	f, n := m.figures, len(m.clients.Messages)
	if f.Before, err = m.memory(ctx); err != nil {
		return err
	}
	f.Connect, f.ConnectCPU, err = m.spent(func() error { return m.clients.Connect(ctx, m.connections) })
	if err != nil {
		return err
	}
	if err := m.hold(ctx); err != nil {
		return err
	}
	if err := m.deliver(ctx, n); err != nil {
		return err
	}
	m.clients.Do(func() {
		c := m.clients.Counts
		f.Counts = counts{Lost: m.clients.Lost(), Doubled: c.Doubled, Broken: c.Broken, Why: c.Why}
		for _, p := range m.clients.Messages[warmUp:] {
			f.Deliveries += p.Count
		}
	})
	return nil
}

// spent runs work and returns how long it took, and the server's CPU time
// meanwhile, in seconds.
func (m *course) spent(work func() error) (took, cpu float64, err error) {
	start := time.Now()
	used, err := rig.Spent(m.server.cpu, work)
	return time.Since(start).Seconds(), used.Seconds(), err
}

func (m *course) memory(ctx context.Context) (int64, error) {
	samples, err := rig.Sample(ctx, 7, m.server.memory)
	return int64(samples.Mid()), err
}

// hold measures one interval after the first: in that some servers spare a
// client the ping that has just been heard. It begins half an interval later
// still, as timers that were set by the connects go off together where the
// intervals meet, and a burst at the edge would be half accounted for.
func (m *course) hold(ctx context.Context) (err error) {
	if err := rig.Pause(ctx, m.interval*3/2); err != nil {
		return err
	}
	before, after := 0, 0
	m.clients.Do(func() { before = m.clients.Pings })
	m.figures.Hold, m.figures.HoldCPU, err = m.spent(func() error { return rig.Pause(ctx, m.interval) })
	if err != nil {
		return err
	}
	m.clients.Do(func() { after = m.clients.Pings })
	m.figures.Pings = after - before
	m.figures.With, err = m.memory(ctx)
	return err
}

// deliver publishes n messages, the first ones to warm up.
func (m *course) deliver(ctx context.Context, n int) error {
	for k := range warmUp {
		if _, err := m.publish(ctx, k); err != nil {
			return err
		}
	}
	redis := func() (time.Duration, error) { return 0, nil }
	if m.server.redis != nil {
		redis = m.server.redis.CPU
	}
	used, err := rig.Spent(redis, func() (err error) {
		_, m.figures.DeliverCPU, err = m.spent(func() error {
			for k := warmUp; k < n; k++ {
				last, err := m.publish(ctx, k)
				if err != nil {
					return err
				}
				m.figures.Last = append(m.figures.Last, last)
			}
			return nil
		})
		return err
	})
	m.figures.RedisCPU = used.Seconds()
	return err
}

// publish returns after how many seconds the last client had a message. One
// that never had it makes it late, and counts as lost.
func (m *course) publish(ctx context.Context, k int) (float64, error) {
	start := time.Now()
	if err := m.server.publish(ctx, client.Payload("n", k, m.size)); err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, client.ErrLate)
	defer cancel()
	c := m.clients
	_, err := c.Wait(ctx, fmt.Sprintf("message %d", k), func() bool { return c.Messages[k].Count >= c.Settled })
	if errors.Is(err, client.ErrLate) {
		return time.Since(start).Seconds(), nil
	}
	var last time.Time
	c.Do(func() { last = c.Messages[k].Last })
	return last.Sub(start).Seconds(), err
}
