package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// figures are what one round found of one server.
type figures struct {
	handshake float64 // us of CPU each
	delivery  float64 // us of CPU to one client, one message at a time
	fullRate  float64 // the same, all messages at once
	last      float64 // ms until the last client has a message, one at a time
	ping      float64 // us of CPU per ping and pong
	growth    float64 // bytes of RSS per connection
	delivered int     // messages received by the clients
	batched   bool    // deliveries went through io_uring
}

// round has the bare loop, the gateway that writes to each client by a call of
// its own, of which only handshake and deliveries are measured, and the gateway
// as it comes, measured one after the other.
type round struct{ bare, write, gateway figures }

// measure builds both servers and runs the rounds.
func measure(ctx context.Context, o options, out io.Writer) ([]round, error) {
	dir, err := os.MkdirTemp("", "ratios")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	redis, err := rig.StartRedis(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer redis.Close()
	if err := rig.Build(ctx, dir, "github.com/pushgate/pushgate/cmd/gateway", "github.com/pushgate/pushgate/bench/bare"); err != nil {
		return nil, err
	}
	rounds := make([]round, o.rounds)
	for i := range rounds {
		r := &rounds[i]
		steps := []func() error{
			func() error { return measureBare(ctx, o, dir, &r.bare) },
			func() error { return measureWrites(ctx, o, dir, redis, &r.write) },
			func() error { return measureGateway(ctx, o, dir, redis, &r.gateway) },
		}
		if i%2 == 1 { // neither always has what the other left behind
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return nil, fmt.Errorf("round %d: %w", i+1, err)
			}
		}
		fmt.Fprintf(out, "round %d of %d: handshake %.1f and %.1f us, delivery %.2f, %.2f and %.2f us, ping %.1f and %.1f us\n", i+1, o.rounds,
			r.bare.handshake, r.gateway.handshake, r.bare.delivery, r.write.delivery, r.gateway.delivery, r.bare.ping, r.gateway.ping)
	}
	return rounds, nil
}

// target is the server under measurement with its clients.
type target struct {
	*rig.Process
	clients *clients
	admin   string // the gateway's URL for the operator
}

// spent runs work and returns the CPU time that the server used meanwhile, in
// microseconds.
func (t target) spent(work func() error) (float64, error) {
	before, err := t.CPU()
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := t.CPU()
	return float64(after-before) / 1e3, err
}

// handshakes connects n clients and sets the handshake's figure.
func (t target) handshakes(ctx context.Context, n int, f *figures) error {
	us, err := t.spent(func() error { return t.clients.connect(ctx, n) })
	f.handshake = us / float64(n)
	return err
}

// deliveries sets the delivery's figures. send has the server send so many
// messages to each client.
func (t target) deliveries(ctx context.Context, o options, f *figures, send func(n int) error) error {
	want := 0
	deliver := func(n int) (time.Duration, error) {
		want += n * o.connections
		start := time.Now()
		if err := send(n); err != nil {
			return 0, err
		}
		// The condition runs on the loop, after want was set for good.
		at, err := t.clients.Wait(ctx, fmt.Sprintf("%d messages", want), func() bool { return t.clients.messages >= want })
		return at.Sub(start), err
	}
	var waits []float64
	us, err := t.spent(func() error {
		for range o.messages {
			took, err := deliver(1)
			if err != nil {
				return err
			}
			waits = append(waits, float64(took)/1e6)
		}
		return nil
	})
	if err != nil {
		return err
	}
	each := float64(o.messages * o.connections)
	f.delivery, f.last = us/each, median(waits)
	us, err = t.spent(func() error {
		_, err := deliver(o.messages)
		return err
	})
	if err != nil {
		return err
	}
	f.fullRate = us / each
	f.delivered = want
	return t.clients.checkMessages(2 * o.messages)
}

// growth sets the figure of memory per connection.
func (t target) growth(ctx context.Context, o options, f *figures) error {
	var rss [2]float64
	for i, n := range []int{o.low, o.high} {
		if err := t.clients.connect(ctx, n); err != nil {
			return err
		}
		// The median over a second: the collector and the runtime's return of
		// pages are still at work.
		var samples []float64
		for range 10 {
			if err := rig.Pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			bytes, err := t.RSS()
			if err != nil {
				return err
			}
			samples = append(samples, float64(bytes))
		}
		rss[i] = median(samples)
	}
	f.growth = (rss[1] - rss[0]) / float64(o.high-o.low)
	return nil
}

// with runs fn with clients of the server and takes both down after it.
func with(p *rig.Process, c *clients, err error, fn func(target) error) error {
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(fn(target{Process: p, clients: c}), p.CheckCPU()); err != nil {
		return fmt.Errorf("%s: %w; its log: %s", p.Name, err, p.Log())
	}
	return nil
}
