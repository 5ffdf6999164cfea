package million

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loopback"
)

// gateway is the process that is measured, with its Redis.
type gateway struct {
	*rig.Gateway

	// Immutable
	args   []string
	lab    *rig.Lab
	target netip.AddrPort // for the clients
}

// startGateway starts a redis-server and the gateway, and waits until it is
// ready.
func startGateway(ctx context.Context, o options) (*gateway, error) {
	lab, err := rig.NewLab(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(o.gateway, "serve", "--redis.url", lab.Redis.URL,
		"--heartbeat.interval", o.interval.String(), "--drain.timeout", o.drain.String())
	answer := 10 * time.Second
	if o.emulated {
		// Timeouts of a real machine are too short in emulation.
		answer = 3 * time.Minute
		cmd.Args = append(cmd.Args, "--limits.head_timeout", "1m", "--redis.probe_interval", "10s")
	}
	cmd.Args = append(cmd.Args, "--heartbeat.timeout", min(answer, o.interval).String())
	var secure string // the address for TLS
	if o.tls {
		if secure, err = loopback.Reserve(); err != nil {
			lab.Close()
			return nil, err
		}
		cmd.Args = append(cmd.Args, "--tls.listen", secure, "--tls.self_signed", "--tls.handshakes", fmt.Sprint(max(defaultHandshakes, o.inFlight)))
	}
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	g, err := rig.StartGateway(ctx, cmd)
	if err != nil {
		lab.Close()
		return nil, err
	}
	target := g.Listen
	if o.tls {
		target = netip.MustParseAddrPort(secure)
	}
	return &gateway{Gateway: g, args: cmd.Args[1:], lab: lab, target: target}, nil
}

// defaultHandshakes is the gateway's tls.handshakes.
const defaultHandshakes = 1024

// publish publishes message k, of 128 bytes, to channels as a backend does, with
// one Redis command for each.
func (g *gateway) publish(ctx context.Context, k int, channels []string) error {
	payload := client.Payload("number", k, 128)
	for batch := range slices.Chunk(channels, 500) {
		_, err := g.lab.Redis.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, channel := range batch {
				pipe.Publish(ctx, rig.RedisPrefix+channel, payload)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// close kills both processes and waits for them.
func (g *gateway) close() {
	g.Kill()
	g.lab.Close()
}
