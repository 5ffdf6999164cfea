package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// follow waits until p has reached its goal, taking samples on the way, and
// returns what that took. It gives up when the clients fail or when nothing
// moves any more.
func (r *course) follow(ctx context.Context, p *progress) (s step, err error) {
	before, cpu := r.last, r.gateway.cpu()
	moved, used := time.Now(), cpu
	for {
		var failed error
		reached := s.Reached
		broken := 0
		if err := r.clients.Do(func() {
			s.Goal, s.Reached, failed, broken = p.goal, p.count, r.clients.Err, r.clients.counts.Broken
		}); err != nil {
			return s, err
		}
		if failed != nil {
			err = failed
			break
		}
		used = max(used, r.gateway.cpu())
		r.sample(s)
		if s.Reached >= s.Goal-broken { // what broke is told by check
			break
		}
		if s.Reached != reached {
			moved = time.Now()
		}
		if time.Since(moved) > r.o.patience() {
			err = fmt.Errorf("stuck at %d of %d", s.Reached, s.Goal)
			break
		}
		if err := rig.Pause(ctx, r.o.look()); err != nil {
			return s, err
		}
	}
	s.CPU = used - cpu
	r.clients.Do(func() { s.Curve = p.curve })
	if n := len(s.Curve); n > 0 {
		s.Seconds = s.Curve[n-1].Seconds
	}
	r.say("%d of %d after %.2f s, CPU of the gateway %.2f s", s.Reached, s.Goal, s.Seconds, s.CPU)
	if r.step == "drain" {
		return s, err // there is nobody left to ask
	}
	after, scrapeErr := r.gateway.scrape()
	if scrapeErr != nil {
		return s, scrapeErr
	}
	if before != nil {
		s.Lag = lagBetween(before, after)
	}
	r.last = after
	return s, err
}

// wait lets time pass, taking samples.
func (r *course) wait(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.sample(step{})
		if err := rig.Pause(ctx, min(100*time.Millisecond, time.Until(end))); err != nil {
			return err
		}
	}
	return nil
}

// memory reads the box exactly, and the metrics as well.
func (r *course) memory() (m memory, err error) {
	if r.last, err = r.gateway.scrape(); err != nil {
		return m, err
	}
	if m, err = processMemory(r.gateway.PID(), true); err != nil {
		return m, err
	}
	m.addRuntime(r.last)
	return m, m.addKernel()
}

// sample adds a point to the series once a second, and a line to the log every
// ten seconds.
func (r *course) sample(s step) {
	if time.Since(r.sampled) < time.Second {
		return
	}
	r.sampled = time.Now()
	m, err := processMemory(r.gateway.PID(), false)
	if err != nil || m.addKernel() != nil {
		return // it has ended
	}
	open := 0
	if r.clients.Do(func() { open = r.clients.Settled }) != nil {
		return
	}
	r.res.Points = append(r.res.Points, point{
		Seconds: time.Since(r.start).Seconds(), Step: r.step, Connections: open,
		RSS: m.RSS, Slab: m.Slab, SocketPages: m.SocketPages, CPU: r.gateway.cpu(),
	})
	if time.Since(r.reported) > 10*time.Second {
		r.reported = time.Now()
		r.say("%d of %d, %d open, RSS %d MiB, slab %d MiB", s.Reached, s.Goal, open, m.RSS>>20, m.Slab>>20)
	}
}
