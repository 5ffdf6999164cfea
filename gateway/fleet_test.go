package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/admin"
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

// kept dials n clients that stay, and reconnect to another instance when they
// are sent away, as a load balancer does that sends them where fewest are.
func (in *instance) kept(n int, to *instance) {
	in.t.Helper()
	for range n {
		c := in.dial("/v1/ws")
		c.expect("welcome")
		go func() {
			// Ends with the connection, which the test's end closes.
			var e event
			if c.ReadJSON(&e) == nil && e.Type == "bye" {
				c.Close()
				to.dial("/v1/ws")
			}
		}()
	}
}

// One call to any node has those with more than their share send the surplus
// away; nobody else is touched.
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
	// What a node has is told by its beats, every 5 s.
	eventually(t, "the others know what it has", func() bool {
		return b.call("GET", "/v1/nodes", "", &f) == 200 && f.Nodes[0].Connections+f.Nodes[1].Connections == 100
	})
	if status := b.call("POST", "/v1/rebalance", `{"over":"500ms"}`, &f); status != 202 || f.Surplus != 40 {
		t.Fatalf("%d %+v", status, f)
	}
	eventually(t, "they are even", func() bool {
		// Each shard rounds its part down.
		return a.connections.Load() >= 48 && a.connections.Load() <= 52 && b.connections.Load() >= 48
	})
	if n := b.totals().closes[CloseRebalance]; n > 0 {
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
	a, b := startOn(t, redis, nil).ready(), startOn(t, redis, func(c *Config) { c.Drain.Timeout = time.Hour }).ready()
	b.kept(1, a)
	allKnow(t, 2, a, b)
	b.stop()
	eventually(t, "a rebalance is refused", func() bool {
		var e failure
		return a.call("POST", "/v1/rebalance", "", &e) == 409 && strings.Contains(e.Error.Message, b.node)
	})
	b.Server.fail(nil) // as after the drain
	eventually(t, "it is forgotten", func() bool {
		var f admin.Fleet
		return a.call("GET", "/v1/nodes", "", &f) == 200 && len(f.Nodes) == 1
	})
}

// A Redis that is there and says nothing holds up no exit.
func TestExitBesideASilentRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel takes who connects
	cfg, fc := DefaultConfig(), fanout.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.Drain.Timeout = "127.0.0.1:0", "", 0
	fc.URL = "redis://" + l.Addr().String()
	log := slog.New(slog.DiscardHandler)
	broker, err := fanout.NewBroker(fc, log, "node")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := New(cfg, broker, log)
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
	if err := broker.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > beatEvery-time.Second {
		t.Errorf("it took %v", took)
	}
}

// Who asks for the nodes and goes before Redis has answered leaves them known.
func TestNodesForOneWhoGoes(t *testing.T) {
	in := start(t, nil).ready()
	allKnow(t, 1, in)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (operator{in.Server}).Nodes(ctx); err == nil {
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
	s := &Server{fleet: newFleet(), log: slog.New(slog.NewTextHandler(&text, nil))}
	for range 3 {
		s.judgeFleet(nil, err)
	}
	if strings.Count(text.String(), "\n") != 1 || !strings.Contains(text.String(), "the other nodes are not known") {
		t.Errorf("the log says\n%s", &text)
	}
}

func TestJudgeFleet(t *testing.T) {
	node := func(name string, n int64) admin.Node {
		return admin.Node{Node: name, State: admin.Serving, Connections: n}
	}
	away := node("b", 0)
	away.State = admin.Draining
	for name, tc := range map[string]struct {
		nodes []admin.Node
		want  string
	}{
		"came back":        {[]admin.Node{node("a", 43), node("b", 257)}, "far fewer"},
		"has all":          {[]admin.Node{node("a", 257), node("b", 43)}, "far more"},
		"even":             {[]admin.Node{node("a", 140), node("b", 160)}, ""},
		"one of ten":       {[]admin.Node{node("a", 0), node("b", 100), node("c", 100), node("d", 100)}, "far fewer"},
		"the rest of ten":  {[]admin.Node{node("a", 1100), node("b", 1100), node("c", 1100), node("d", 1100), node("e", 0)}, ""},
		"a handful":        {[]admin.Node{node("a", 0), node("b", 40)}, ""},
		"alone":            {[]admin.Node{node("a", 1000)}, ""},
		"while one drains": {[]admin.Node{node("a", 1000), away}, ""},
		"not told of":      {[]admin.Node{node("b", 1000), node("c", 0)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			s := &Server{node: "a", fleet: newFleet(), log: slog.New(slog.NewTextHandler(&text, nil))}
			for range unevenBeats - 1 {
				s.judgeFleet(tc.nodes, nil)
			}
			if text.Len() > 0 {
				t.Errorf("told too early: %s", &text)
			}
			for range 10 {
				s.judgeFleet(tc.nodes, nil)
			}
			lines := strings.Count(text.String(), "\n")
			if tc.want == "" && lines > 0 || tc.want != "" && (lines != 1 || !strings.Contains(text.String(), tc.want) || !strings.Contains(text.String(), `fix="gateway rebalance"`)) {
				t.Errorf("want %q once, got\n%s", tc.want, &text)
			}
		})
	}
}
