package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"
)

// gateway is the process that is measured.
type gateway struct {
	// Immutable
	args   []string
	cmd    *exec.Cmd
	public netip.AddrPort
	admin  string
	redis  *redis.Client // to its embedded server

	exited chan error // buffered; sent to once, when the process has ended
}

// startGateway starts the gateway with its embedded Redis, so that nothing but
// the two programs has to be there, and waits until it is ready.
func startGateway(ctx context.Context, o options) (*gateway, error) {
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	g := &gateway{
		admin: "http://" + addresses[1], exited: make(chan error, 1),
		public: netip.MustParseAddrPort(addresses[0]),
		redis:  redis.NewClient(&redis.Options{Addr: addresses[2], MaxRetries: -1}),
	}
	g.args = []string{"serve", "--listen", addresses[0], "--admin.listen", addresses[1], "--redis.embedded", addresses[2],
		"--heartbeat.interval", o.interval.String(), "--drain.timeout", o.drain.String()}
	answer := 10 * time.Second
	if o.emulated {
		// What is in time on a real machine is not in emulation.
		answer = 3 * time.Minute
		g.args = append(g.args, "--limits.head_timeout", "1m", "--redis.probe_interval", "10s")
	}
	g.args = append(g.args, "--heartbeat.timeout", min(answer, o.interval).String())
	g.cmd = exec.Command(o.gateway, g.args...)
	g.cmd.Stdout, g.cmd.Stderr = io.Discard, os.Stderr
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	go func() { g.exited <- g.cmd.Wait() }() // ends with the process, which close kills
	for end := time.Now().Add(time.Minute); ; {
		err := g.ready()
		if err == nil {
			return g, nil
		}
		if time.Now().After(end) {
			g.close()
			return nil, fmt.Errorf("the gateway is not ready: %w", err)
		}
		select {
		case <-ctx.Done():
			g.close()
			return nil, ctx.Err()
		case err := <-g.exited:
			g.redis.Close()
			return nil, fmt.Errorf("the gateway ended: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ready asks the gateway whether it is.
func (g *gateway) ready() error {
	answer, err := http.Get(g.admin + "/readyz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", answer.Status)
	}
	return nil
}

// publish publishes message k as a backend does, with one Redis command.
func (g *gateway) publish(ctx context.Context, channel string, k int) error {
	if err := g.redis.Publish(ctx, "push:"+channel, payload(k)).Err(); err != nil {
		return fmt.Errorf("publish to %s: %w", channel, err)
	}
	return nil
}

// drain tells the gateway to shut down.
func (g *gateway) drain() error { return g.cmd.Process.Signal(syscall.SIGTERM) }

// ended waits for the process to end by itself.
func (g *gateway) ended(most time.Duration) error {
	select {
	case err := <-g.exited:
		g.exited <- err // for close
		return err
	case <-time.After(most):
		return fmt.Errorf("the gateway still runs after %v", most)
	}
}

// close kills the process and waits for it.
func (g *gateway) close() {
	g.cmd.Process.Kill()
	<-g.exited
	g.redis.Close()
}

// cpu returns the seconds of CPU that the process has used, user and system. It
// is the kernel's clock of the process (clock_getcpuclockid), up to date even
// while its threads run, which /proc/PID/stat is not.
func (g *gateway) cpu() float64 {
	const schedClock = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	clock := ^int32(g.cmd.Process.Pid)<<3 | schedClock
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0 // it has ended
	}
	return float64(t.Nano()) / 1e9
}

// freeAddress returns an address of this machine on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
