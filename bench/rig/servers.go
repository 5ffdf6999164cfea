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
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/loopback"
	"github.com/pushgate/pushgate/internal/probe"
)

// Lab is a folder with programs, and a redis-server that has its files there.
type Lab struct {
	dir   string
	Redis *Redis
}

// NewLab builds programs of this repository, static, and starts the redis-server.
func NewLab(ctx context.Context, packages ...string) (_ *Lab, err error) {
	l := &Lab{}
	if l.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	if len(packages) > 0 {
		err = l.build(ctx, packages)
	}
	if err == nil {
		l.Redis, err = StartRedis(ctx, l.dir)
	}
	if err != nil {
		os.RemoveAll(l.dir)
		return nil, err
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context, packages []string) error {
	args := []string{"build", "-o", l.dir + "/"}
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

// Close ends Redis and removes the folder.
func (l *Lab) Close() {
	l.Redis.Close()
	os.RemoveAll(l.dir)
}

// Gateway starts the gateway that was built, beside the lab's Redis.
func (l *Lab) Gateway(ctx context.Context, args ...string) (*Gateway, error) {
	return StartGateway(ctx, l.Command("gateway", append([]string{"serve", "--redis.url", l.Redis.URL, "--log.level", "warn"}, args...)...))
}

// Command is one of the programs that were built.
func (l *Lab) Command(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(l.dir, name), args...)
}

// RedisPrefix is the gateway's default for the names of its channels in Redis.
const RedisPrefix = "push:"

// Redis is a redis-server.
type Redis struct {
	*Process
	URL    string // for a gateway
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
	p, err := Launch("redis-server", exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir))
	if err != nil {
		return nil, err
	}
	// It tries once, or a message might come twice, and is patient.
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: 3 * time.Minute, Protocol: 2, DisableIdentity: true})
	r := &Redis{Process: p, URL: "redis://" + addr, Client: client}
	if err := p.Ready(ctx, "it does not answer", func(ctx context.Context) error { return r.Client.Ping(ctx).Err() }); err != nil {
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
	g := &Gateway{Process: p, Listen: netip.MustParseAddrPort(listen), Admin: "http://" + admin}
	err = p.Ready(ctx, "it is not ready", func(ctx context.Context) error { return Get(ctx, g.Admin+"/readyz") })
	if err != nil {
		p.Kill()
		return nil, err
	}
	return g, nil
}

// Metrics reads the gateway's metrics. It is tried for a while: the gateway
// refuses to answer when one of its loops takes longer than a second to.
func (g *Gateway) Metrics(ctx context.Context) (m probe.Metrics, err error) {
	err = g.Ready(ctx, "read the metrics", func(ctx context.Context) (err error) {
		m, err = probe.Scrape(ctx, once, g.Admin+"/metrics")
		return err
	})
	return m, err
}

// once keeps no connection: it would be one more goroutine and descriptor at
// either end.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Get returns an error unless a URL answers with status 200.
func Get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := once.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.1000s", url, response.Status, text)
	}
	return err
}
