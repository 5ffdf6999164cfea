package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pushgate/internal/loadgen"
	"pushgate/internal/loopback"
)

// lab starts what is measured.
type lab struct {
	dir     string // of the gateway's program and of what Redis writes
	gateway string
	began   time.Time
	cpus    int
	tries   int     // of a measurement that other programs disturb
	round   int     // from 0
	hotRate float64 // messages per second on the hot channel, once it is known
}

// newLab builds the gateway.
func newLab(tries int) (*lab, error) {
	dir, err := os.MkdirTemp("", "growth")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, gateway: filepath.Join(dir, "gateway"), began: time.Now(), cpus: runtime.NumCPU(), tries: tries}
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", l.gateway, "pushgate/cmd/gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		l.close()
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return l, nil
}

func (l *lab) close() { os.RemoveAll(l.dir) }

// ordered is the way through the steps in this round: every second one goes
// backwards, so that what the box does meanwhile doesn't look like growth.
func ordered[T any](l *lab, steps []T) []T {
	if l.round%2 == 1 {
		steps = slices.Clone(steps)
		slices.Reverse(steps)
	}
	return steps
}

func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0fs  "+format+"\n", append([]any{time.Since(l.began).Seconds()}, args...)...)
}

// site is a gateway and its Redis, both fresh.
type site struct {
	// Immutable
	lab    *lab
	config loadgen.Config // of the clients
	admin  string
	stop   []func()

	// Known after warm
	pid   int     // of the gateway
	redis int     // the same of its Redis
	idle  float64 // CPUs that the gateway uses when nothing happens
}

// gatewayFlags keep pings out of what is measured.
const gatewayFlags = "--heartbeat.interval 1h --heartbeat.timeout 1h"

// open starts a Redis and a gateway with further flags, which close stops, and
// warms it up.
func (l *lab) open(ctx context.Context, sc scale, flags string) (*site, error) {
	var ports [3]string
	for i := range ports {
		var err error
		if ports[i], err = loopback.Reserve(); err != nil {
			return nil, err
		}
	}
	public, admin, redis := ports[0], ports[1], ports[2]
	_, redisPort, _ := net.SplitHostPort(redis)
	s := &site{lab: l, config: loadgen.DefaultConfig(), admin: admin}
	c := &s.config
	c.URL, c.Redis = "ws://"+public, "redis://"+redis
	c.InFlight, c.Sources = 200, "127.0.0.2-127.0.0.5"
	start := func(addr, command string) error {
		x := *c
		x.URL, x.ServerCmd = "ws://"+addr, command
		stop, err := loadgen.Launch(ctx, x)
		if err == nil {
			s.stop = append(s.stop, stop)
		}
		return err
	}
	err := start(redis, fmt.Sprintf("redis-server --bind 127.0.0.1 --port %s --save '' --dir %s", redisPort, l.dir))
	if err == nil {
		err = start(public, fmt.Sprintf("%s serve --listen %s --admin.listen %s --redis.url %s %s %s", l.gateway, public, admin, c.Redis, gatewayFlags, flags))
	}
	if err == nil {
		err = s.warm(ctx, sc)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close stops the gateway and then its Redis.
func (s *site) close() {
	for i := len(s.stop) - 1; i >= 0; i-- {
		s.stop[i]()
	}
}

// redisVersion is what the server says of itself, short.
func redisVersion() string {
	out, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return ""
	}
	for word := range strings.FieldsSeq(string(out)) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			return v
		}
	}
	return ""
}

// checked turns what went wrong in a run into an error: nothing may be lost,
// doubled or out of order, no client may fail.
func checked(r *loadgen.Result, err error) (*loadgen.Result, error) {
	switch {
	case err != nil:
		return nil, err
	case !r.Good():
		return nil, errors.New(strings.Join(r.Failed, "; "))
	case r.Counters.Gaps+r.Counters.Errors > 0:
		return nil, fmt.Errorf("the gateway sent %d gaps and %d errors", r.Counters.Gaps, r.Counters.Errors)
	case r.Server == nil:
		return nil, errors.New("the gateway's process was not found")
	}
	return r, nil
}
