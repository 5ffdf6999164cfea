package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// upstream is a redis-server of its own and what is published to it.
type upstream struct {
	*process
	addr      string
	client    *redis.Client
	ids       []string // of all messages, by their numbers
	published int
}

func startRedis(ctx context.Context, dir string) (*upstream, error) {
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
	u := &upstream{process: p, addr: addr, client: redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})}
	if err := until(ctx, "redis-server does not answer", func() error { return u.client.Ping(ctx).Err() }); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

func (u *upstream) close() {
	u.client.Close()
	u.kill()
}

// publish adds n durable messages to the stream and, with tell, publishes them
// in the form of the publish script.
func (u *upstream) publish(ctx context.Context, n, size int, tell bool) error {
	_, err := u.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for range n {
			data := fmt.Sprintf(`{"n":%d}`, u.published)
			data += strings.Repeat(" ", max(0, size-len(data))) // white space behind JSON is JSON
			id := fmt.Sprintf("%d-%d", time.Now().UnixMilli(), u.published)
			pipe.Do(ctx, "XADD", "{push:"+channel+"}:log", id, "data", data)
			if tell {
				pipe.Publish(ctx, "push:"+channel, "\x1e"+id+"\x1e"+data)
			}
			u.ids = append(u.ids, id)
			u.published++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// reads returns how often a part of a stream was asked for.
func (u *upstream) reads(ctx context.Context) (total int, err error) {
	text, err := u.client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		for _, command := range []string{"xrange", "xrevrange", "xread"} {
			if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
				var n int
				if _, err := fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &n); err != nil {
					return 0, err
				}
				total += n
			}
		}
	}
	return total, nil
}

// gateway is the running gateway.
type gateway struct {
	*process
	listen netip.AddrPort
}

// build builds the gateway into dir.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "pushgate/cmd/gateway")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return nil
}

// startGateway starts the gateway and waits until it is ready.
func startGateway(ctx context.Context, dir, redisAddr string, o options) (*gateway, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launch("gateway", exec.CommandContext(ctx, filepath.Join(dir, "gateway"), "serve",
		"--listen", listen, "--admin.listen", admin, "--redis.url", "redis://"+redisAddr,
		"--limits.connections", fmt.Sprint(o.clients+1), "--log.level", "warn"))
	if err != nil {
		return nil, err
	}
	g := &gateway{process: p}
	if g.listen, err = netip.ParseAddrPort(listen); err == nil {
		err = until(ctx, "the gateway is not ready", func() error { return get(ctx, "http://"+admin+"/readyz") })
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("start the gateway: %w; its log: %s", err, p.log.String())
	}
	return g, nil
}

// get returns an error unless the URL answers 200. Its connection is not kept.
func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}
