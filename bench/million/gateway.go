package million

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// gateway is the process that is measured, with its Redis.
type gateway struct {
	*rig.Gateway

	// Immutable
	args []string
	lab  *rig.Lab
}

// startGateway starts a redis-server and the gateway, and waits until it is
// ready.
func startGateway(ctx context.Context, o options) (_ *gateway, err error) {
	lab, err := rig.NewLab(ctx)
	if err != nil {
		return nil, err
	}
	g := &gateway{lab: lab}
	cmd := exec.Command(o.gateway, "serve", "--redis.url", lab.Redis.URL(),
		"--heartbeat.interval", o.interval.String(), "--drain.timeout", o.drain.String())
	answer := 10 * time.Second
	if o.emulated {
		// Timeouts of a real machine are too short in emulation.
		answer = 3 * time.Minute
		cmd.Args = append(cmd.Args, "--limits.head_timeout", "1m", "--redis.probe_interval", "10s")
	}
	cmd.Args = append(cmd.Args, "--heartbeat.timeout", min(answer, o.interval).String())
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	if g.Gateway, err = rig.StartGateway(ctx, cmd); err != nil {
		g.close()
		return nil, err
	}
	g.args = cmd.Args[1:]
	return g, nil
}

// payload is message k, of 128 bytes.
func payload(k int) []byte { return client.Payload("number", k, 128) }

// publish publishes message k as a backend does, with one Redis command.
func (g *gateway) publish(ctx context.Context, channel string, k int) error {
	if err := g.lab.Redis.Client.Publish(ctx, rig.RedisPrefix+channel, payload(k)).Err(); err != nil {
		return fmt.Errorf("publish to %s: %w", channel, err)
	}
	return nil
}

// publishToEach publishes message k to every tenth client's own channel.
func (g *gateway) publishToEach(ctx context.Context, clients, k int) error {
	const batch = 500 // commands in one go
	for first := 0; first < clients; first += batch * toldStep {
		_, err := g.lab.Redis.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := first; i < min(first+batch*toldStep, clients); i += toldStep {
				pipe.Publish(ctx, rig.RedisPrefix+personal(i), payload(k))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("publish to each: %w", err)
		}
	}
	return nil
}

// close kills both processes and waits for them.
func (g *gateway) close() {
	if g.Gateway != nil {
		g.Kill()
	}
	g.lab.Close()
}
