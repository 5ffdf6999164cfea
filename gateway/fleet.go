package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// beatEvery is the time between two beats: a round trip to Redis by which the nodes exchange their
// states.
const beatEvery = 5 * time.Second

// beatPatience is the timeout of a beat. A shutdown waits for it, since a cancelled context does
// not interrupt a read from Redis.
const beatPatience = time.Second

// fleet holds the known gateways on the same Redis. Serving clients doesn't depend on it.
type fleet struct {
	// Immutable
	srv           *Server
	host, version string
	soon          chan struct{} // sent to without blocking to force a beat, received by run; never closed

	// Guarded by mu
	mu    sync.Mutex
	nodes []admin.Node // by name; nil while unknown

	// Owned by run
	refused bool // already logged
	uneven  int  // beats in a row
}

func newFleet(srv *Server) *fleet {
	host, _ := os.Hostname()
	return &fleet{srv: srv, host: host, version: ReadBuild().Version, soon: make(chan struct{}, 1)}
}

// hurry triggers the next beat at once.
func (f *fleet) hurry() {
	select {
	case f.soon <- struct{}{}:
	default:
	}
}

// note sets the nodes that known returns.
func (f *fleet) note(nodes []admin.Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = nodes
}

// known returns the nodes as of the last beat, nil if it failed. The caller must not change them.
func (f *fleet) known() []admin.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes
}

// run beats until ctx ends, then retires this node. It returns once its goroutine has ended.
func (f *fleet) run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() {
		f.srv.broker.Controls(ctx, f.obey, func(err error) { f.srv.log.Debug("no commands from other nodes", "err", err) })
	})
	every := time.NewTicker(beatEvery)
	defer every.Stop()
	met := false // the last beat succeeded
	for ctx.Err() == nil {
		nodes, err := f.beat(ctx, beatPatience)
		if err != nil && ctx.Err() != nil {
			break
		}
		met = err == nil
		f.note(nodes)
		f.judge(nodes, err)
		select {
		case <-ctx.Done():
		case <-f.soon:
		case <-every.C:
		}
	}
	if !met { // Redis is down: don't delay the exit
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatPatience)
	defer cancel()
	_ = f.srv.broker.Retire(ctx)
}

// self returns this node's entry in the fleet.
func (f *fleet) self() admin.Node {
	n := admin.Node{
		Node: f.srv.net.Node, Host: f.host, Address: cmp.Or(f.srv.addr, f.srv.tlsAddr), Version: f.version,
		State: admin.Serving, Connections: f.srv.net.Connections.Load(),
	}
	switch reason, until := f.srv.departure.now(); {
	case f.srv.requests.Draining.Load():
		n.State = admin.Draining
	case reason == reasons.CloseRebalance:
		n.State, n.Until = admin.Rebalancing, until.UTC().Format(time.RFC3339)
	}
	return n
}

// beat publishes this node's entry and returns all nodes, by name.
func (f *fleet) beat(ctx context.Context, patience time.Duration) (nodes []admin.Node, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	says, err := json.Marshal(f.self())
	if err != nil {
		return nil, err
	}
	all, err := f.srv.broker.Beat(ctx, string(says))
	if err != nil {
		return nil, err
	}
	for name, text := range all {
		var n admin.Node
		// An unreadable entry is a node of another version, and still counts.
		_ = json.Unmarshal([]byte(text), &n)
		n.Node = name
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b admin.Node) int { return cmp.Compare(a.Node, b.Node) })
	return nodes, nil
}

// Thresholds for an uneven fleet.
const (
	unevenBeats   = 3    // in a row, so that a restart doesn't count
	unevenClients = 50   // more or fewer than the mean
	unevenShare   = 0.25 // of the mean
)

// share returns a node's connections and the mean of all nodes. ok is false while a node is
// starting or draining.
func share(nodes []admin.Node, name string) (has, mean int64, ok bool) {
	total := int64(0)
	for _, n := range nodes {
		if n.State != admin.Serving {
			return 0, 0, false
		}
		if n.Node == name {
			has, ok = n.Connections, true
		}
		total += n.Connections
	}
	return has, total / max(1, int64(len(nodes))), ok && len(nodes) > 1
}

// isUneven reports whether a node is far above or below its share.
func isUneven(has, mean int64) bool {
	off := max(has-mean, mean-has)
	return off >= unevenClients && float64(off) > unevenShare*float64(mean)
}

// judge logs an unknown or uneven fleet, once each time that it begins.
func (f *fleet) judge(nodes []admin.Node, err error) {
	switch {
	case err == nil:
		f.refused = false
	case fanout.Refused(err) && !f.refused:
		f.refused = true
		f.srv.log.Warn("the other nodes are not known: Redis refuses to tell", "err", err,
			"fix", "grant the rights of docs/OPERATIONS.md, Redis: clients are served without them, but GET /v1/nodes and gateway rebalance fail")
	}
	has, mean, ok := share(nodes, f.srv.net.Node)
	if !ok || !isUneven(has, mean) {
		f.uneven = 0
		return
	}
	if f.uneven++; f.uneven != unevenBeats {
		return
	}
	what := "this node has far fewer clients than the others"
	if has > mean {
		what = "this node has far more clients than the others"
	}
	f.srv.log.Warn(what, "connections", has, "mean", mean, "nodes", len(nodes), "fix", "gateway rebalance")
}

// order is a command to all nodes.
type order struct {
	Op string `json:"op"` // rebalance

	// For rebalance
	Target int64  `json:"target"` // connections that a node keeps
	Over   string `json:"over"`   // a duration
}

const opRebalance = "rebalance"

// obey executes the operator's command to all nodes. It is called on a goroutine of run.
func (f *fleet) obey(text string) {
	var c order
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		f.srv.log.Warn("malformed command to all nodes", "err", err)
		return
	}
	over, err := time.ParseDuration(c.Over)
	if c.Op != opRebalance || err != nil || over < 0 || over > admin.LongestOver {
		f.srv.log.Warn("unknown command to all nodes", "op", c.Op, "over", c.Over)
		return
	}
	has := f.srv.net.Connections.Load()
	surplus := max(0, has-c.Target)
	// A node without a surplus takes part: no other rebalance may begin meanwhile.
	if _, err := f.srv.Rebalance(float64(surplus)/float64(max(1, has)), over); err != nil {
		f.srv.log.Warn("cannot start a rebalance", "err", err)
		return
	}
	f.srv.log.Info("rebalancing", "connections", has, "target", c.Target, "sends_away", surplus, "over", over)
	f.hurry()
}

// Nodes returns the current state of each node.
func (o operator) Nodes(ctx context.Context) (admin.Fleet, error) {
	nodes, err := o.srv.fleet.beat(ctx, publish.Timeout)
	if err != nil {
		return admin.Fleet{}, fmt.Errorf("the other nodes are not known: %w", err)
	}
	return admin.Fleet{Node: o.srv.net.Node, Nodes: nodes}, nil
}

// Even has each node above its share of the clients send the surplus away, spread over a duration.
func (o operator) Even(ctx context.Context, over time.Duration) (admin.Fleet, error) {
	f, err := o.Nodes(ctx)
	if err != nil {
		return f, err
	}
	total := int64(0)
	for _, n := range f.Nodes {
		if err := n.Busy(); err != nil {
			return f, err
		}
		total += n.Connections
	}
	// Rounded up: no client is moved for the remainder of the division.
	count := int64(len(f.Nodes))
	target := (total + count - 1) / count
	for i := range f.Nodes {
		f.Nodes[i].Surplus = max(0, f.Nodes[i].Connections-target)
		f.Surplus += f.Nodes[i].Surplus
	}
	if f.Surplus == 0 {
		return f, nil
	}
	text, err := json.Marshal(order{Op: opRebalance, Target: target, Over: over.String()})
	if err != nil {
		return f, err
	}
	return f, o.srv.broker.Control(ctx, string(text))
}
