package rig

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
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/loopback"
)

// RedisPrefix is the gateway's default for the names of its channels in Redis.
const RedisPrefix = "push:"

// Redis is a redis-server of its own that keeps nothing on disk.
type Redis struct {
	*Process
	Addr   string
	Client *redis.Client
}

// RedisProgram finds redis-server.
func RedisProgram() (string, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		err = errors.New("redis-server is not in PATH: install the Debian package redis-server")
	}
	return program, err
}

// StartRedis starts a redis-server in dir and waits until it answers.
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	program, err := RedisProgram()
	if err != nil {
		return nil, err
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

// Gateway is a running gateway.
type Gateway struct {
	*Process
	Listen netip.AddrPort
	Admin  string // its URL
}

// StartGateway starts a gateway by a command that lacks only its addresses, and
// waits until it is ready.
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
		err = p.Until(ctx, "the gateway is not ready", func() error {
			_, err := Get(ctx, g.Admin+"/readyz")
			return err
		})
	}
	if err != nil {
		p.Kill()
		return nil, err
	}
	return g, nil
}

// Get returns what a URL answers, and an error unless that is 200. Its
// connection is not kept.
func Get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.1000s", url, response.Status, text)
	}
	return string(text), err
}

// Metrics reads the gateway's metrics: series by name and labels as they are
// written. It is tried for a while: the gateway refuses to answer when one of
// its loops takes longer than a second to.
func (g *Gateway) Metrics(ctx context.Context) (series map[string]float64, err error) {
	return series, g.Until(ctx, "read the metrics", func() error {
		text, err := Get(ctx, g.Admin+"/metrics")
		series = map[string]float64{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				series[name] = v
			}
		}
		return err
	})
}

// Build builds programs of this repository into a folder, static.
func Build(ctx context.Context, dir string, packages ...string) error {
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, p := range packages {
		args = append(args, "github.com/pushgate/pushgate/"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return nil
}
