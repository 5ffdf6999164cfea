package gateway_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/redistest"
)

// allKnow waits until every instance knows of so many nodes.
func allKnow(t *testing.T, nodes int, all ...*instance) {
	t.Helper()
	for _, in := range all {
		eventually(t, "it knows the other nodes", func() bool {
			var f admin.Fleet
			return in.call("GET", "/v1/nodes", "", &f) == 200 && len(f.Nodes) == nodes && in.metric("gateway_fleet_nodes") == float64(nodes)
		})
	}
}

// kept dials n clients that stay, and reconnect to another instance when they are rebalanced, as
// through a load balancer that prefers the least loaded node.
func (in *instance) kept(n int, to *instance) {
	in.t.Helper()
	var staying sync.WaitGroup
	clients := make([]*client, n)
	for k := range clients {
		c := in.dial("/v1/ws")
		c.expect("welcome")
		clients[k] = c
		staying.Go(func() {
			var e event
			if c.ReadJSON(&e) == nil && e.Type == "bye" {
				c.Close()
				to.dial("/v1/ws")
			}
		})
	}
	in.t.Cleanup(func() { // before the instances end, which would refuse the last to reconnect
		for _, c := range clients {
			c.Close()
		}
		staying.Wait()
	})
}

// One call to any node moves the surplus of the nodes above their share; the others aren't touched.
func TestRebalanceOfAFleet(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := startOn(t, redis, nil).ready(), startOn(t, redis, nil).ready()
	allKnow(t, 2, a, b)
	a.kept(90, b)
	b.kept(10, a)
	var f admin.Fleet
	if status := b.call("GET", "/v1/nodes", "", &f); status != 200 || f.Node != b.node {
		t.Fatalf("%d %+v", status, f)
	}
	for _, n := range f.Nodes {
		if n.State != admin.Serving || n.Host == "" || n.Address == "" || n.Version == "" {
			t.Errorf("a node says %+v", n)
		}
	}
	if status := b.call("POST", "/v1/rebalance", `{"over":"1d"}`, nil); status != 400 {
		t.Errorf("a duration that is none: %d", status)
	}
	// A node's connections are published with its beats, every 5 s.
	eventually(t, "the others know what it has", func() bool {
		return b.call("GET", "/v1/nodes", "", &f) == 200 && f.Nodes[0].Connections+f.Nodes[1].Connections == 100
	})
	if status := b.call("POST", "/v1/rebalance", `{"over":"500ms"}`, &f); status != 202 || f.Surplus != 40 {
		t.Fatalf("%d %+v", status, f)
	}
	eventually(t, "they are even", func() bool {
		// Each shard rounds its part down.
		return a.totals().connections >= 48 && a.totals().connections <= 52 && b.totals().connections >= 48
	})
	if n := b.totals().closes[reasons.CloseRebalance]; n > 0 {
		t.Errorf("%d clients left the node that had fewer", n)
	}
}

func TestRebalanceOfABusyFleet(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := startOn(t, redis, nil).ready(), startOn(t, redis, nil).ready()
	allKnow(t, 2, a, b)
	var f admin.Fleet
	if status := a.call("POST", "/v1/rebalance", "", &f); status != 200 || f.Surplus != 0 {
		t.Errorf("of nobody: %d %+v", status, f)
	}
	b.kept(60, a)
	eventually(t, "the other knows what it has", func() bool {
		return a.call("POST", "/v1/rebalance", `{"over":"1m"}`, &f) == 202
	})
	refused := func(in *instance) {
		t.Helper()
		eventually(t, "the other knows of the rebalance", func() bool {
			var e failure
			status := in.call("POST", "/v1/rebalance", "", &e)
			return status == 409 && e.Error.Code == "busy" && strings.Contains(e.Error.Message, "sends clients away until 2")
		})
	}
	refused(a)
	refused(b)
}

// A node that shuts down takes no part, and is forgotten when it has.
func TestFleetOfOneThatGoes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := startOn(t, redis, nil).ready(), startOn(t, redis, func(c *gateway.Config) { c.Drain.Timeout = time.Hour }).ready()
	b.kept(1, a)
	allKnow(t, 2, a, b)
	b.stop()
	eventually(t, "a rebalance is refused", func() bool {
		var e failure
		return a.call("POST", "/v1/rebalance", "", &e) == 409 && strings.Contains(e.Error.Message, b.node)
	})
	b.call("DELETE", "/v1/connections?transport=websocket", "", nil) // the last one
	eventually(t, "it is forgotten", func() bool {
		var f admin.Fleet
		return a.call("GET", "/v1/nodes", "", &f) == 200 && len(f.Nodes) == 1
	})
}

// A Redis that is there and says nothing holds up no exit.
func TestExitBesideASilentRedis(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel accepts connections
	cfg := gateway.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.Drain.Timeout = "127.0.0.1:0", "", 0
	cfg.Redis.URL = "redis://" + l.Addr().String()
	srv, err := gateway.New(cfg, gateway.Options{Log: slog.New(slog.DiscardHandler), Node: "node"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	if c, err := l.Accept(); err != nil { // a beat has begun
		t.Fatal(err)
	} else {
		defer c.Close()
	}
	begin := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > gateway.BeatEvery-time.Second {
		t.Errorf("it took %v", took)
	}
}

// A request for the nodes that is cancelled before Redis responds leaves them known.
func TestNodesForOneWhoGoes(t *testing.T) {
	in := start(t, nil).ready()
	allKnow(t, 1, in)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Nodes(ctx); err == nil {
		t.Error("it got an answer")
	}
	if n := in.metric("gateway_fleet_nodes"); n != 1 {
		t.Errorf("%v nodes are known", n)
	}
}

// Without the rights the other nodes aren't known, which is logged once.
func TestFleetIsRefused(t *testing.T) {
	redis := redistest.Start(t)
	redis.Do("ACL", "SETUSER", "default", "-zadd")
	in := startOn(t, redis, nil).ready()
	var e failure
	if status := in.call("GET", "/v1/nodes", "", &e); status != 503 {
		t.Errorf("%d %+v", status, e)
	}
	c := in.subscribed("news")
	redis.Publish("news", "1")
	c.expect("message")

	_, err := in.broker.Beat(t.Context(), "here")
	var text bytes.Buffer
	judge := gateway.FleetJudge("here", slog.New(slog.NewTextHandler(&text, nil)))
	for range 3 {
		judge(nil, err)
	}
	if strings.Count(text.String(), "\n") != 1 || !strings.Contains(text.String(), "the other nodes are not known") {
		t.Errorf("the log says\n%s", &text)
	}
}
