package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/pushgate/pushgate/gateway/jsontext"
)

// Drainer sends clients of this gateway away.
type Drainer interface {
	// Drain begins the shutdown and returns how many connections there are.
	Drain() (connections int64)
	// Shed asks a fraction of the clients to reconnect, spread over a time.
	// Its *Error names whatever else sends clients away at present.
	Shed(fraction float64, over time.Duration) (connections int64, err error)
}

// Nodes tells about all gateways on the same Redis. Its methods are called on
// goroutines of requests and return when Redis has answered or ctx ends.
type Nodes interface {
	Nodes(ctx context.Context) (Fleet, error)
	// Even has the nodes with more clients than the mean send the surplus away,
	// spread over a time. Its *Error says which node is busy.
	Even(ctx context.Context, over time.Duration) (Fleet, error)
}

// Node is one gateway, as it describes itself.
type Node struct {
	Node        string `json:"node"`
	Host        string `json:"host"`
	Address     string `json:"addr"` // of the public listener
	Version     string `json:"version"`
	State       State  `json:"state"`
	Until       string `json:"until,omitempty"` // RFC 3339; of rebalancing
	Connections int64  `json:"connections"`
	Surplus     int64  `json:"surplus,omitempty"` // clients that it sends away
}

// State says whether a node serves, drains or rebalances.
type State string

const (
	Serving     State = "serving"
	Draining    State = "draining"    // it shuts down
	Rebalancing State = "rebalancing" // clients are being sent away
)

// Busy returns why no rebalance can begin beside the node's present work, or nil.
func (n *Node) Busy() error {
	switch n.State {
	case Draining:
		return Busy(errors.New("node " + n.Node + " on " + n.Host + " shuts down"))
	case Rebalancing:
		return Busy(errors.New("node " + n.Node + " on " + n.Host + " sends clients away until " + n.Until))
	}
	return nil
}

// Fleet is all nodes.
type Fleet struct {
	Node    string `json:"node"` // the one that was asked
	Nodes   []Node `json:"nodes"`
	Surplus int64  `json:"surplus,omitempty"` // of all that send clients away
}

// Bounds of the time over which clients are sent away.
const (
	defaultOver = 30 * time.Second
	LongestOver = time.Hour
)

type nodeCalls struct {
	drainer Drainer
	nodes   Nodes
}

// drain serves POST /v1/drain. Without a body it shuts the gateway down as
// SIGTERM does; with a fraction it asks that many of the clients to reconnect,
// and goes on. Query parameters are refused: a fraction there must not become a
// shutdown.
func (c nodeCalls) drain(r request) (any, error) {
	var q struct {
		Fraction *float64 `json:"fraction"`
		Over     string   `json:"over"`
	}
	over, empty, err := r.readOver(&q, &q.Over)
	switch {
	case err != nil:
		return nil, err
	case empty:
		return response{http.StatusAccepted, map[string]any{"connections": c.drainer.Drain(), "draining": true}}, nil
	case q.Fraction == nil || *q.Fraction <= 0 || *q.Fraction > 1:
		return nil, badRequest("fraction is a number over 0, up to 1")
	}
	n, err := c.drainer.Shed(*q.Fraction, over)
	return response{http.StatusAccepted, map[string]any{"connections": n, "fraction": *q.Fraction}}, err
}

// list serves GET /v1/nodes.
func (c nodeCalls) list(r request) (any, error) { return c.nodes.Nodes(r.Context()) }

// rebalance serves POST /v1/rebalance: 202 where clients are sent away, 200 where
// the nodes are even.
func (c nodeCalls) rebalance(r request) (any, error) {
	var q struct {
		Over string `json:"over"`
	}
	over, _, err := r.readOver(&q, &q.Over)
	if err != nil {
		return nil, err
	}
	fleet, err := c.nodes.Even(r.Context(), over)
	if fleet.Surplus == 0 {
		return fleet, err
	}
	return response{http.StatusAccepted, fleet}, err
}

// readOver reads a body of one JSON object into v, of which text is the duration
// over which clients are sent away, and reports whether there was no body.
func (r request) readOver(v any, text *string) (over time.Duration, empty bool, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, 4096))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return 0, false, tooLarge("the body is larger than 4 KiB")
	case err != nil:
		return 0, false, badRequest("the body could not be read: %v", err)
	case len(bytes.TrimSpace(body)) == 0:
		return defaultOver, true, nil
	}
	if err := jsontext.Decode(body, v); err != nil {
		return 0, false, badRequest("the body is a JSON object: %v", err)
	}
	if *text == "" {
		return defaultOver, false, nil
	}
	over, err = time.ParseDuration(*text)
	if err != nil || over < 0 || over > LongestOver {
		return 0, false, badRequest("over is a duration up to 1h")
	}
	return over, false, nil
}
