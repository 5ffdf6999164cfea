package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// patience is how long a server may take to end.
const patience = 10 * time.Second

// warmUp is how many messages come before those that are measured.
const warmUp = 2

// course is a server on its way through a round.
type course struct {
	o       options
	server  *running
	clients *clients
	figures *figures
}

func (m *course) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{m.before, m.connect, m.hold, m.deliver} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	counts, err := m.clients.result()
	m.figures.Counts = counts
	return err
}

// spent runs work and returns what it took, in seconds and in seconds of the
// server's CPU.
func (m *course) spent(work func() error) (took, cpu float64, err error) {
	start := time.Now()
	before, err := m.server.cpu()
	if err != nil {
		return 0, 0, err
	}
	if err := work(); err != nil {
		return 0, 0, err
	}
	after, err := m.server.cpu()
	return time.Since(start).Seconds(), (after - before).Seconds(), err
}

// memory is the median over most of a second: collectors and allocators are
// still at work.
func (m *course) memory(ctx context.Context) (int64, error) {
	var samples []float64
	for range 7 {
		pids, err := m.server.pids()
		if err != nil {
			return 0, err
		}
		bytes, err := memory(pids)
		if err != nil {
			return 0, err
		}
		samples = append(samples, float64(bytes))
		if err := rig.Pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return int64(median(samples)), nil
}

func (m *course) before(ctx context.Context) (err error) {
	m.figures.Before, err = m.memory(ctx)
	return err
}

func (m *course) connect(ctx context.Context) (err error) {
	m.figures.Connect, m.figures.ConnectCPU, err = m.spent(func() error { return m.clients.connect(ctx) })
	return err
}

// hold measures one interval after the first: in that some servers spare a
// client the ping that has just been heard. It begins half an interval later
// still, as timers that were set by the connects go off together where the
// intervals meet, and a burst at the edge would be half accounted for.
func (m *course) hold(ctx context.Context) (err error) {
	if err := rig.Pause(ctx, m.o.interval*3/2); err != nil {
		return err
	}
	before, err := m.clients.pings()
	if err != nil {
		return err
	}
	m.figures.Hold, m.figures.HoldCPU, err = m.spent(func() error { return rig.Pause(ctx, m.o.interval) })
	if err != nil {
		return err
	}
	after, err := m.clients.pings()
	if err != nil {
		return err
	}
	m.figures.Pings = after - before
	m.figures.With, err = m.memory(ctx)
	return err
}

func (m *course) deliver(ctx context.Context) error {
	for k := range warmUp {
		if _, err := m.publish(ctx, k); err != nil {
			return err
		}
	}
	redis, err := m.redisCPU()
	if err != nil {
		return err
	}
	_, m.figures.DeliverCPU, err = m.spent(func() error {
		for k := range m.o.messagesFor(len(m.clients.next)) {
			last, err := m.publish(ctx, warmUp+k)
			if err != nil {
				return err
			}
			m.figures.Last = append(m.figures.Last, last)
		}
		return nil
	})
	if err != nil {
		return err
	}
	after, err := m.redisCPU()
	if err != nil {
		return err
	}
	m.figures.RedisCPU = (after - redis).Seconds()
	return m.clients.Do(func() {
		for _, n := range m.clients.got[warmUp:] {
			m.figures.Deliveries += n
		}
	})
}

func (m *course) redisCPU() (time.Duration, error) {
	if m.server.redis == nil {
		return 0, nil
	}
	return m.server.redis.CPU()
}

// publish returns after how many seconds the last client had a message. One
// that never had it makes it late; the count of lost messages tells.
func (m *course) publish(ctx context.Context, k int) (float64, error) {
	start := time.Now()
	if err := m.server.publish(ctx, payload(k, m.o.size)); err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	at, err := m.clients.delivered(ctx, k)
	if errors.Is(err, errLate) {
		return time.Since(start).Seconds(), nil
	}
	return at.Sub(start).Seconds(), err
}
