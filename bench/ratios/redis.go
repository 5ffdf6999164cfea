package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisPrefix is the gateway's default for the names of its channels in Redis.
const redisPrefix = "push:"

// upstream is a redis-server of its own and what is published to it.
type upstream struct {
	process *process
	addr    string
	client  *redis.Client
	payload string
}

// startRedis starts a redis-server that keeps nothing; payloads have size
// bytes.
func startRedis(ctx context.Context, dir string, size int) (*upstream, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not in PATH: install the Debian package redis-server")
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := launch("redis-server", exec.CommandContext(ctx, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir))
	if err != nil {
		return nil, err
	}
	u := &upstream{
		process: p,
		addr:    addr,
		client:  redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true}),
		payload: `"` + strings.Repeat("x", size-2) + `"`,
	}
	if err := until(ctx, "redis-server does not answer", func() error { return u.client.Ping(ctx).Err() }); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

func (u *upstream) close() {
	u.client.Close()
	u.process.kill()
}

// publish publishes n messages in one go.
func (u *upstream) publish(ctx context.Context, n int) error {
	_, err := u.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for range n {
			pipe.Publish(ctx, redisPrefix+channel, u.payload)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}
