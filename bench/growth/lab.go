package growth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	loadresult "github.com/pushgate/pushgate/internal/loadgen/result"
)

// lab starts gateways.
type lab struct {
	*rig.Lab
	began   time.Time
	cpus    int
	tries   int     // of a measurement that other programs disturb
	round   int     // from 0
	hotRate float64 // messages per second on the hot channel, once it is known
}

// newLab builds the gateway; Close removes it.
func newLab(ctx context.Context, tries int) (*lab, error) {
	built, err := rig.Build(ctx, "cmd/gateway")
	return &lab{Lab: built, began: time.Now(), cpus: runtime.NumCPU(), tries: tries}, err
}

// ordered is the way through the steps in this round: every second one goes
// backwards, so that other work of the box doesn't look like growth.
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
	lab     *lab
	config  plan.Config // of the clients
	redis   *rig.Redis
	gateway *rig.Gateway

	// Known after warm
	idle float64 // CPUs that the gateway uses when nothing happens
}

// gatewayFlags keep pings out of the figures.
var gatewayFlags = []string{"--heartbeat.interval", "1h", "--heartbeat.timeout", "1h"}

// open starts a Redis and a gateway with further flags, which close stops, and
// warms it up.
func (l *lab) open(ctx context.Context, sc scale, flags ...string) (_ *site, err error) {
	s := &site{lab: l, config: plan.DefaultConfig()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.redis, err = rig.StartRedis(ctx, l.Dir); err != nil {
		return nil, err
	}
	c := &s.config
	c.Redis = s.redis.URL()
	cmd := l.Command("gateway", slices.Concat([]string{"serve", "--log.level", "warn", "--redis.url", c.Redis}, gatewayFlags, flags)...)
	if s.gateway, err = rig.StartGateway(ctx, cmd); err != nil {
		return nil, err
	}
	c.URL = "ws://" + s.gateway.Listen.String()
	c.InFlight, c.Sources = 200, "127.0.0.2-127.0.0.5"
	return s, s.warm(ctx, sc)
}

// close stops the gateway and then its Redis.
func (s *site) close() {
	if s.gateway != nil {
		s.gateway.Kill()
	}
	if s.redis != nil {
		s.redis.Close()
	}
}

// checked turns a run's failures into an error: nothing may be lost,
// doubled or out of order, no client may fail.
func checked(r *loadresult.Result, err error) (*loadresult.Result, error) {
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
