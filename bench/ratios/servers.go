package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// bare is the running bare loop.
type bare struct {
	*process
	listen  netip.AddrPort
	control net.Conn
	answers *bufio.Reader
}

// bareStats is what of the answers to its commands is looked at.
type bareStats struct {
	Error      string `json:"error"`
	Handshakes int    `json:"handshakes"`
	Deliveries int    `json:"deliveries"`
	Pings      int    `json:"pings"`
	Pongs      int    `json:"pongs"`
	Refused    int    `json:"refused"`
	Closed     int    `json:"closed"`
}

func startBare(ctx context.Context, dir string) (*bare, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "bare"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := launch("bare", cmd)
	if err != nil {
		return nil, err
	}
	b := &bare{process: p}
	var listen, control string
	if _, err = fmt.Fscanf(stdout, "listen %s control %s\n", &listen, &control); err == nil {
		if b.listen, err = netip.ParseAddrPort(listen); err == nil {
			b.control, err = net.DialTimeout("tcp", control, patience)
		}
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("start bare: %w; its log: %s", err, p.log.String())
	}
	b.answers = bufio.NewReader(b.control)
	return b, nil
}

func (b *bare) close() {
	b.control.Close()
	b.kill()
}

// command runs one command of the control connection. A write that was refused
// or a client that left spoils the measurement.
func (b *bare) command(line string) (s bareStats, err error) {
	b.control.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(b.control, line); err != nil {
		return s, fmt.Errorf("bare: %s: %w", line, err)
	}
	answer, err := b.answers.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(answer, &s)
	}
	if err != nil {
		return s, fmt.Errorf("bare: %s: %w; its log: %s", line, err, b.log.String())
	}
	if s.Error != "" || s.Refused+s.Closed > 0 {
		return s, fmt.Errorf("bare: %s: answered %s", line, answer)
	}
	return s, nil
}

// gateway is the running gateway.
type gateway struct {
	*process
	listen netip.AddrPort
}

// startGateway starts the gateway and waits until it is ready.
func startGateway(ctx context.Context, dir string, redis *upstream, o options, interval time.Duration) (*gateway, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "gateway"), "serve",
		"--listen", listen,
		"--admin.listen", admin,
		"--redis.url", "redis://"+redis.addr,
		"--redis.prefix", redisPrefix,
		"--heartbeat.interval", interval.String(),
		"--heartbeat.timeout", (interval * 3 / 4).String(), // the machine may be busy
		"--limits.connections", fmt.Sprint(max(o.connections, o.high)),
		"--log.level", "warn",
	)
	cmd.Env = os.Environ()
	if o.procs > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("GOMAXPROCS=%d", o.procs))
	}
	p, err := launch("gateway", cmd)
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

// build builds both servers into dir.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "pushgate/cmd/gateway", "pushgate/bench/bare")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return nil
}
