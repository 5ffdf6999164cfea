package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/bench/rig"
)

// patience is how long the bare loop may take for a command.
const patience = 2 * time.Minute

// bare is the running bare loop.
type bare struct {
	*rig.Process
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
	p, err := rig.Launch("bare", cmd)
	if err != nil {
		return nil, err
	}
	b := &bare{Process: p}
	var listen, control string
	if _, err = fmt.Fscanf(stdout, "listen %s control %s\n", &listen, &control); err == nil {
		if b.listen, err = netip.ParseAddrPort(listen); err == nil {
			b.control, err = net.DialTimeout("tcp", control, patience)
		}
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("start bare: %w; its log: %s", err, p.Log())
	}
	b.answers = bufio.NewReader(b.control)
	return b, nil
}

func (b *bare) close() {
	b.control.Close()
	b.Kill()
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
		return s, fmt.Errorf("bare: %s: %w; its log: %s", line, err, b.Log())
	}
	if s.Error != "" || s.Refused+s.Closed > 0 {
		return s, fmt.Errorf("bare: %s: answered %s", line, answer)
	}
	return s, nil
}

// startGateway starts the gateway and waits until it is ready.
func startGateway(ctx context.Context, dir string, redis *rig.Redis, o options, interval time.Duration, ioUring string) (*rig.Gateway, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "gateway"), "serve",
		"--redis.url", "redis://"+redis.Addr,
		"--redis.prefix", redisPrefix,
		"--heartbeat.interval", interval.String(),
		"--heartbeat.timeout", (interval * 3 / 4).String(), // the machine may be busy
		"--limits.connections", fmt.Sprint(o.most()),
		"--socket.io_uring", ioUring,
		"--shards", fmt.Sprint(o.loops),
		"--log.level", "warn",
	)
	return rig.StartGateway(ctx, cmd)
}

// redisPrefix is the gateway's default for the names of its channels in Redis.
const redisPrefix = "push:"

// publish publishes n messages of size bytes in one go.
func publish(ctx context.Context, u *rig.Redis, n, size int) error {
	payload := `"` + strings.Repeat("x", size-2) + `"`
	_, err := u.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for range n {
			pipe.Publish(ctx, redisPrefix+channel, payload)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}
