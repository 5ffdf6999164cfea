package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/pushgate/pushgate/bench/rig"
)

func absentRedis() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis-server is not in PATH: install the Debian package redis-server"
	}
	return ""
}

// startPushgate starts the gateway and a redis-server, which counts as a part
// of the machine and not of the gateway.
func startPushgate(ctx context.Context, s setting) (*running, error) {
	redis, err := rig.StartRedis(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	args := []string{"serve",
		"--heartbeat.interval", s.interval.String(),
		"--heartbeat.timeout", s.pongTimeout().String(),
		"--limits.connections", fmt.Sprint(s.connections),
		"--log.level", "warn",
	}
	g, err := rig.StartGateway(ctx, exec.CommandContext(ctx, s.gateway, append(args, "--redis.url", "redis://"+redis.Addr)...))
	if err != nil {
		redis.Close()
		return nil, err
	}
	path := "/v1/ws"
	if s.transport == eventsTransport {
		path = "/v1/sse"
	}
	return &running{
		Process: g.Process,
		redis:   redis.Process,
		listen:  g.Listen,
		path:    path + "?channels=" + channel,
		speech:  speech{joined: `{"type":"subscribed"`},
		publish: func(ctx context.Context, text []byte) error {
			return redis.Client.Publish(ctx, "push:"+channel, text).Err()
		},
		config: "gateway " + strings.Join(args, " ") + " --redis.url redis://127.0.0.1:6379\n" +
			`redis-server --save "" --bind 127.0.0.1`,
		close: func() {
			g.Kill()
			redis.Close()
		},
	}, nil
}
