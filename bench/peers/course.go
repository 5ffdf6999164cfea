package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/probe"
)

// warmUp is how many messages come before those that are measured.
const warmUp = 2

// course is a server on its way through a round.
type course struct {
	options
	server      *running
	kernel      *probe.Kernel
	connections int
	clients     *client.Clients
	figures     *figures
}

func (m *course) run(ctx context.Context) (err error) {
	f, n := m.figures, len(m.clients.Messages)
	if f.Before, f.KernelBefore, err = m.memory(ctx); err != nil {
		return err
	}
	stop := m.watch()
	err = m.clients.Connect(ctx, m.connections)
	f.Connect, f.ConnectCPU = stop()
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
		f.Counts = m.clients.Counts
		f.Counts.Lost = m.clients.Lost()
		for _, p := range m.clients.Messages[warmUp:] {
			f.Deliveries += p.Count
		}
	})
	return nil
}

// watch returns a stopwatch of time and of the server's CPU time, in seconds.
func (m *course) watch() (stop func() (took, cpu float64)) {
	start, begin := time.Now(), m.server.cpu()
	return func() (float64, float64) { return time.Since(start).Seconds(), (m.server.cpu() - begin).Seconds() }
}

// memory returns the server's and the kernel's.
func (m *course) memory(ctx context.Context) (own, kernel int64, err error) {
	var samples []float64 // of the kernel's
	bytes, err := rig.Steady(ctx, 7, func() (int64, error) {
		k, err := m.kernel.Sample()
		if err != nil {
			return 0, err
		}
		samples = append(samples, float64(k.Slab+k.TCPMemory))
		return m.server.memory()
	})
	return int64(bytes), int64(rig.Median(samples)), err
}

// hold measures one interval after the first: in that some servers spare a
// client the ping that has just been heard. It begins half an interval later
// still, as timers that were set by the connects go off together where the
// intervals meet, and a burst at the edge would be half accounted for.
func (m *course) hold(ctx context.Context) (err error) {
	if err := rig.Pause(ctx, m.interval*3/2); err != nil {
		return err
	}
	pings := func() (n int) {
		m.clients.Do(func() { n = m.clients.Pings })
		return n
	}
	before, stop := pings(), m.watch()
	if err := rig.Pause(ctx, m.interval); err != nil {
		return err
	}
	m.figures.Hold, m.figures.HoldCPU = stop()
	m.figures.Pings = pings() - before
	m.figures.With, m.figures.KernelWith, err = m.memory(ctx)
	return err
}

// deliver publishes n messages, the first ones to warm up.
func (m *course) deliver(ctx context.Context, n int) error {
	for k := range warmUp {
		if _, err := m.publish(ctx, k); err != nil {
			return err
		}
	}
	var redis time.Duration
	if m.server.redis != nil {
		redis = m.server.redis.CPU()
	}
	stop := m.watch()
	for k := warmUp; k < n; k++ {
		last, err := m.publish(ctx, k)
		if err != nil {
			return err
		}
		m.figures.Last = append(m.figures.Last, last)
	}
	_, m.figures.DeliverCPU = stop()
	if m.server.redis != nil {
		m.figures.RedisCPU = (m.server.redis.CPU() - redis).Seconds()
	}
	return nil
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
