package rig

import (
	"bufio"
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
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/loopback"
)

// Redis is a redis-server of its own that keeps nothing on disk.
type Redis struct {
	*Process
	Addr   string
	Client *redis.Client
}

// StartRedis starts a redis-server in dir and waits until it answers.
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not in PATH: install the Debian package redis-server")
	}
	addr, err := loopback.Reserve()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := Launch("redis-server", exec.CommandContext(ctx, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir))
	if err != nil {
		return nil, err
	}
	r := &Redis{Process: p, Addr: addr, Client: redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})}
	if err := p.Until(ctx, "redis-server does not answer", func() error { return r.Client.Ping(ctx).Err() }); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close ends the server.
func (r *Redis) Close() {
	r.Client.Close()
	r.Kill()
}

// Gateway is the running gateway.
type Gateway struct {
	*Process
	Listen netip.AddrPort
	Admin  string // its URL
}

// StartGateway starts the gateway that cmd says, on free addresses, and waits
// until it is ready.
func StartGateway(ctx context.Context, cmd *exec.Cmd) (*Gateway, error) {
	listen, err := loopback.Reserve()
	if err != nil {
		return nil, err
	}
	admin, err := loopback.Reserve()
	if err != nil {
		return nil, err
	}
	cmd.Args = append(cmd.Args, "--listen", listen, "--admin.listen", admin)
	p, err := Launch("gateway", cmd)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Process: p, Admin: "http://" + admin}
	if g.Listen, err = netip.ParseAddrPort(listen); err == nil {
		err = p.Until(ctx, "the gateway is not ready", func() error { return Get(ctx, g.Admin+"/readyz") })
	}
	if err != nil {
		p.Kill()
		return nil, err
	}
	return g, nil
}

// Get returns an error unless the URL answers 200. Its connection is not kept.
func Get(ctx context.Context, url string) error {
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

// Metric returns the value of a series of the gateway's metrics, 0 where there
// is none.
func Metric(ctx context.Context, admin, series string) (value float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, nil
}

// Build builds the packages' programs into dir, static.
func Build(ctx context.Context, dir string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return nil
}
