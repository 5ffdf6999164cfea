package million

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// before measures the gateway without clients.
func (r *course) before(ctx context.Context) (err error) {
	const watch = 3 * time.Second
	begin := r.gateway.CPU().Seconds()
	if err := r.wait(ctx, watch); err != nil {
		return err
	}
	r.res.Hold.IdleCPU = (r.gateway.CPU().Seconds() - begin) / watch.Seconds()
	r.res.Before, err = r.memory(ctx)
	return err
}

func (r *course) connect(ctx context.Context) (err error) {
	r.clients.Do(func() { r.clients.DialUpTo(r.o.clients) })
	r.res.Connect, err = r.follow(ctx, &r.clients.Joined)
	return err
}

// hold lets the heartbeats do their work, and then reads the memory.
func (r *course) hold(ctx context.Context) (err error) {
	h := &r.res.Hold
	before, begin, cpu := r.last, time.Now(), r.gateway.CPU().Seconds()
	if err := r.wait(ctx, r.o.hold); err != nil {
		return err
	}
	h.CPU, h.Seconds = r.gateway.CPU().Seconds()-cpu, time.Since(begin).Seconds()
	if r.res.Held, err = r.memory(ctx); err != nil {
		return err
	}
	h.Pings = int(r.last["gateway_pings_total"] - before["gateway_pings_total"])
	h.Lag = lagBetween(before, r.last)
	m, n := r.res.Held, int64(r.o.clients)
	r.say("%d B of RSS and %d B of slab a client, %d pings", (m.RSS-r.res.Before.RSS)/n, (m.Slab-r.res.Before.Slab)/n, h.Pings)
	return nil
}

// everyone sends the first message: to the channel of all clients or, where each
// has its own, to every tenth client's.
func (r *course) everyone(ctx context.Context) error {
	if !r.o.personal {
		return r.message(ctx, 0, r.o.clients, []string{everyone})
	}
	var channels []string
	for client := 0; client < r.o.clients; client += toldStep {
		channels = append(channels, personal(client))
	}
	return r.message(ctx, 0, len(channels), channels)
}

// message publishes message k and waits until its subscribers have it.
func (r *course) message(ctx context.Context, k, subscribers int, channels []string) error {
	r.clients.Do(func() { r.clients.Messages[k].Begin(subscribers) })
	if err := r.gateway.publish(ctx, k, channels); err != nil {
		return err
	}
	s, err := r.follow(ctx, &r.clients.Messages[k])
	r.res.Messages = append(r.res.Messages, s)
	return err
}

func (r *course) comeBack(ctx context.Context) (err error) {
	r.clients.Do(func() { r.clients.ComeBack(r.o.leavers()) })
	r.res.Return, err = r.follow(ctx, &r.clients.Joined)
	return err
}

// drain shuts the gateway down.
func (r *course) drain(ctx context.Context) (err error) {
	d := &r.res.Drain
	d.Planned = r.o.drain.Seconds()
	begin := time.Now()
	r.clients.Do(func() {
		r.clients.Leaving = true
		r.clients.Gone.Begin(r.o.clients)
	})
	if err := r.gateway.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	d.step, err = r.follow(ctx, &r.clients.Gone)
	if err != nil {
		return err
	}
	if err = r.gateway.Await(ctx, r.o.patience()); err == nil {
		err = r.gateway.Err()
	}
	d.Exit, d.Clean = time.Since(begin).Seconds(), err == nil
	return err
}

// follow waits until p has reached its goal, taking samples on the way. It gives
// up when the clients fail or when nothing moves any more.
func (r *course) follow(ctx context.Context, p *client.Progress) (s step, err error) {
	before, cpu := r.last, r.gateway.CPU().Seconds()
	moved, used := time.Now(), cpu
	for {
		var failed error
		reached, broken := s.Reached, 0
		r.clients.Do(func() {
			s.Goal, s.Reached, s.Curve = p.Goal, p.Count, p.Curve
			failed, broken = r.clients.Err, r.clients.Counts.Broken
		})
		if failed != nil {
			err = failed
			break
		}
		used = max(used, r.gateway.CPU().Seconds())
		r.sample(s)
		if s.Reached >= s.Goal-broken { // check reports the broken ones
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
	if n := len(s.Curve); n > 0 {
		s.Seconds = s.Curve[n-1].Seconds
	}
	r.say("%d of %d after %.2f s, CPU of the gateway %.2f s", s.Reached, s.Goal, s.Seconds, s.CPU)
	if r.step == "drain" {
		return s, err // there is nobody left to ask
	}
	after, scrapeErr := r.gateway.Metrics(ctx)
	if scrapeErr != nil {
		return s, errors.Join(err, scrapeErr)
	}
	s.Lag, r.last = lagBetween(before, after), after
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
func (r *course) memory(ctx context.Context) (m memory, err error) {
	if r.last, err = r.gateway.Metrics(ctx); err != nil {
		return m, err
	}
	return readMemory(r.gateway.PID(), r.kernel, r.last)
}

// sample adds a point to the series once a second, and a line to the log every
// ten seconds.
func (r *course) sample(s step) {
	if time.Since(r.sampled) < time.Second {
		return
	}
	r.sampled = time.Now()
	rss, err := r.gateway.RSS()
	kernel, kernelErr := r.kernel.Sample()
	if err != nil || kernelErr != nil {
		return // it has ended
	}
	open := 0
	r.clients.Do(func() { open = r.clients.Settled })
	r.res.Points = append(r.res.Points, point{
		Seconds: time.Since(r.start).Seconds(), Step: r.step, Connections: open,
		RSS: rss, Slab: int64(kernel.Slab), SocketPages: int64(kernel.TCPMemory),
	})
	if time.Since(r.reported) > 10*time.Second {
		r.reported = time.Now()
		r.say("%d of %d, %d open, RSS %d MiB, slab %d MiB", s.Reached, s.Goal, open, rss>>20, kernel.Slab>>20)
	}
}
