package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"pushgate/bench/rig"
)

// gateway is the process that is measured.
type gateway struct {
	*rig.Gateway

	// Immutable
	args     []string
	redis    *redis.Client
	upstream *miniredis.Miniredis
}

// startGateway starts the gateway, and a Redis for it in this process so that
// nothing but the two programs has to be there, and waits until it is ready.
func startGateway(ctx context.Context, o options) (*gateway, error) {
	upstream, err := miniredis.Run()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(o.gateway, "serve", "--redis.url", "redis://"+upstream.Addr(),
		"--heartbeat.interval", o.interval.String(), "--drain.timeout", o.drain.String())
	answer := 10 * time.Second
	if o.emulated {
		// What is in time on a real machine is not in emulation.
		answer = 3 * time.Minute
		cmd.Args = append(cmd.Args, "--limits.head_timeout", "1m", "--redis.probe_interval", "10s")
	}
	cmd.Args = append(cmd.Args, "--heartbeat.timeout", min(answer, o.interval).String())
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	started, err := rig.StartGateway(ctx, cmd)
	if err != nil {
		upstream.Close()
		return nil, err
	}
	return &gateway{
		Gateway: started, args: cmd.Args[1:], upstream: upstream,
		redis: redis.NewClient(&redis.Options{Addr: upstream.Addr(), MaxRetries: -1, ReadTimeout: o.patience()}),
	}, nil
}

// publish publishes message k as a backend does, with one Redis command.
func (g *gateway) publish(ctx context.Context, channel string, k int) error {
	if err := g.redis.Publish(ctx, "push:"+channel, payload(k)).Err(); err != nil {
		return fmt.Errorf("publish to %s: %w", channel, err)
	}
	return nil
}

// publishToEach publishes message k to every tenth client's own channel.
func (g *gateway) publishToEach(ctx context.Context, clients, k int) error {
	const batch = 500 // commands in one go
	for first := 0; first < clients; first += batch * toldStep {
		_, err := g.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := first; i < min(first+batch*toldStep, clients); i += toldStep {
				pipe.Publish(ctx, "push:"+personal(i), payload(k))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("publish to each: %w", err)
		}
	}
	return nil
}

// close kills the process and waits for it.
func (g *gateway) close() {
	g.Kill()
	g.redis.Close()
	g.upstream.Close()
}

// cpu returns the seconds of CPU that the process has used, 0 once it has
// ended.
func (g *gateway) cpu() float64 {
	used, err := g.CPU()
	if err != nil {
		return 0
	}
	return used.Seconds()
}
