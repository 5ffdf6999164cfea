package admin

import (
	"context"
	"net/http"
	"time"
)

// Nodes tells about all gateways on the same Redis. Its methods are called on
// goroutines of requests and return when Redis has answered or ctx ends.
type Nodes interface {
	Nodes(ctx context.Context) (Fleet, error)
	// Even has the nodes with more clients than the mean send the surplus away,
	// spread over a time. Its *Error says which node is busy.
	Even(ctx context.Context, over time.Duration) (Fleet, error)
}

// Node is one gateway, as it says itself.
type Node struct {
	Node        string `json:"node"`
	Host        string `json:"host"`
	Address     string `json:"addr"` // of the public listener
	Version     string `json:"version"`
	State       State  `json:"state"`
	Until       string `json:"until,omitempty"` // RFC 3339; of rebalancing
	Connections int64  `json:"connections"`
	Surplus     int64  `json:"surplus,omitempty"` // that it sends away
}

// State says whether a node serves, drains or rebalances.
type State string

const (
	Serving     State = "serving"
	Draining    State = "draining"    // it shuts down
	Rebalancing State = "rebalancing" // clients are being sent away
)

// Busy returns why no rebalance can begin beside what the node does, or nil.
func (n *Node) Busy() error {
	switch n.State {
	case Draining:
		return &Error{http.StatusConflict, codeBusy, "node " + n.Node + " on " + n.Host + " shuts down"}
	case Rebalancing:
		return &Error{http.StatusConflict, codeBusy, "node " + n.Node + " on " + n.Host + " sends clients away until " + n.Until}
	}
	return nil
}

// Fleet is all nodes.
type Fleet struct {
	Node    string `json:"node"` // that was asked
	Nodes   []Node `json:"nodes"`
	Surplus int64  `json:"surplus,omitempty"` // of all that send clients away
}

type fleetCalls struct{ nodes Nodes }

// list answers GET /v1/nodes.
func (c fleetCalls) list(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	fleet, err := c.nodes.Nodes(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, fleet)
	return nil
}

// even answers POST /v1/rebalance: 202 where clients are sent away, 200 where
// the nodes are even.
func (c fleetCalls) even(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	var q struct {
		Over string `json:"over"` // a duration
	}
	if _, err := readSmall(w, r, &q); err != nil {
		return err
	}
	over, err := overOf(q.Over)
	if err != nil {
		return err
	}
	fleet, err := c.nodes.Even(r.Context(), over)
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if fleet.Surplus == 0 {
		status = http.StatusOK
	}
	answer(w, status, fleet)
	return nil
}
