package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// channel is the one that all clients come back to.
const channel = "storm"

// storms runs one storm after the other.
func storms(ctx context.Context, o options) (results []result, err error) {
	dir, err := os.MkdirTemp("", "catchup")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := rig.Build(ctx, dir, "github.com/pushgate/pushgate/cmd/gateway"); err != nil {
		return nil, err
	}
	redis, err := rig.StartRedis(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer redis.Close()
	u := &upstream{Redis: redis}
	if err := u.publish(ctx, 2*o.behind, o.size, false); err != nil {
		return nil, err
	}
	var g *rig.Gateway
	defer func() {
		if g != nil {
			g.Kill()
		}
	}()
	for _, s := range []struct {
		name   string
		cold   bool
		before bool // the clients are connected before they subscribe
	}{
		{"reconnect, cold", true, false},
		{"reconnect, warm", false, false},
		{"subscribe, cold", true, true},
	} {
		if s.cold {
			if g != nil {
				g.Kill()
			}
			if g, err = startGateway(ctx, dir, u, o); err != nil {
				return results, err
			}
		}
		r, err := storm(ctx, o, u, g, s.before)
		if err != nil {
			return results, fmt.Errorf("%s: %w; the gateway's log: %s", s.name, err, g.Log())
		}
		r.name = s.name
		results = append(results, r)
	}
	return results, nil
}

// storm has all clients come back at once.
func storm(ctx context.Context, o options, u *upstream, g *rig.Gateway, before bool) (r result, err error) {
	next := u.published - o.behind
	c, err := newClients(g.Listen, u.ids[next-1], next, u.published+o.live, o, before)
	if err != nil {
		return r, err
	}
	defer c.Close()
	if before {
		if _, err := c.Wait(ctx, "all handshakes", func() bool { return c.opened == o.clients }); err != nil {
			return r, err
		}
	}
	reads, err := u.reads(ctx)
	if err != nil {
		return r, err
	}
	cpu, err := g.CPU()
	if err != nil {
		return r, err
	}
	begin := time.Now()
	c.Post(c.begin)
	for range o.live {
		if err := u.publish(ctx, 1, o.size, true); err != nil {
			return r, err
		}
		if err := rig.Pause(ctx, 10*time.Millisecond); err != nil {
			return r, err
		}
	}
	if err := c.finish(ctx); err != nil {
		return r, err
	}
	took := make([]time.Duration, 0, o.clients)
	for _, at := range c.caughtUp {
		took = append(took, at.Sub(begin))
	}
	slices.Sort(took)
	after, err := u.reads(ctx)
	if err != nil {
		return r, err
	}
	used, err := g.CPU()
	return result{
		half: took[(len(took)-1)/2], most: took[(len(took)-1)*99/100], all: took[len(took)-1],
		reads: after - reads, cpu: used - cpu,
	}, err
}
