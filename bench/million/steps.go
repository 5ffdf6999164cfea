package main

import (
	"context"
	"time"
)

// before measures the gateway without clients.
func (r *course) before(ctx context.Context) (err error) {
	const watch = 3 * time.Second
	begin := r.gateway.cpu()
	if err := r.wait(ctx, watch); err != nil {
		return err
	}
	r.idleCPU = (r.gateway.cpu() - begin) / watch.Seconds()
	r.res.Before, err = r.memory()
	return err
}

func (r *course) connect(ctx context.Context) (err error) {
	if err := r.clients.connectAll(); err != nil {
		return err
	}
	r.res.Connect, err = r.follow(ctx, &r.clients.ready)
	return err
}

// hold lets the heartbeats do their work, and then reads what everything
// weighs.
func (r *course) hold(ctx context.Context) (err error) {
	h := &r.res.Hold
	before, begin, cpu := r.last, time.Now(), r.gateway.cpu()
	if err := r.wait(ctx, r.o.hold); err != nil {
		return err
	}
	h.CPU, h.Seconds, h.IdleCPU = r.gateway.cpu()-cpu, time.Since(begin).Seconds(), r.idleCPU
	if r.res.Held, err = r.memory(); err != nil {
		return err
	}
	h.Pings = int(r.last["gateway_pings_total"] - before["gateway_pings_total"])
	h.Lag = lagBetween(before, r.last)
	m, n := r.res.Held, int64(r.o.clients)
	r.say("%d B of RSS and %d B of slab a client, %d pings", (m.RSS-r.res.Before.RSS)/n, (m.Slab-r.res.Before.Slab)/n, h.Pings)
	return nil
}

// message publishes message k and waits until its subscribers have it.
func (r *course) message(ctx context.Context, k int, channel string, subscribers int) error {
	if err := r.clients.Do(func() { r.clients.got[k].begin(subscribers) }); err != nil {
		return err
	}
	publish := r.gateway.publish
	if r.o.personal && channel == everyone {
		publish = func(ctx context.Context, _ string, k int) error { return r.gateway.publishToEach(ctx, r.o.clients, k) }
	}
	if err := publish(ctx, channel, k); err != nil {
		return err
	}
	s, err := r.follow(ctx, &r.clients.got[k])
	r.res.Messages = append(r.res.Messages, publishing{Channel: channel, step: s})
	return err
}

func (r *course) comeBack(ctx context.Context) (err error) {
	if err := r.clients.comeBack(r.o.leavers()); err != nil {
		return err
	}
	if r.res.Return, err = r.follow(ctx, &r.clients.ready); err != nil {
		return err
	}
	r.res.After, err = r.memory()
	return err
}

// drain shuts the gateway down.
func (r *course) drain(ctx context.Context) (err error) {
	d := &r.res.Drain
	d.Planned = r.o.drain.Seconds()
	begin := time.Now()
	if err := r.clients.Do(func() {
		r.clients.drained = true
		r.clients.gone.begin(r.o.clients)
	}); err != nil {
		return err
	}
	if err := r.gateway.Terminate(); err != nil {
		return err
	}
	d.step, err = r.follow(ctx, &r.clients.gone)
	if err != nil {
		return err
	}
	err = r.gateway.Wait(r.o.patience())
	d.Exit, d.Clean = time.Since(begin).Seconds(), err == nil
	return err
}
