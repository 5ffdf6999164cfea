package fanout

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed nodes.lua
var nodesText string

// nodesScript is sent once to each server and then called by its hash.
var nodesScript = redis.NewScript(nodesText)

// forgetAfter is the silence after which a node is taken for dead: three beats.
const forgetAfter = 15 * time.Second

// nodes is the part of a Broker that knows the other nodes.
type nodes struct {
	publisher

	// Immutable.

	node string // the name of this one
}

// Beat tells the other nodes the status of this one, and returns the status of each, by
// the nodes' names. It is one round trip, made every 5 s by each node.
func (n *nodes) Beat(ctx context.Context, status string) (nodes map[string]string, err error) {
	keys := []string{n.names.nodes(), n.names.node()}
	pairs, err := nodesScript.Run(ctx, n.servers.Client, keys, n.node, status, forgetAfter.Milliseconds()).StringSlice()
	if err != nil {
		n.servers.Refresh(ctx)
		return nil, fmt.Errorf("meet the other nodes: %w", err)
	}
	nodes = make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		nodes[pairs[i]] = pairs[i+1]
	}
	return nodes, nil
}

// Retire has the other nodes forget this one at once.
func (n *nodes) Retire(ctx context.Context) error {
	_, err := n.Beat(ctx, "")
	return err
}

// Refused reports whether a server answered with an error, such as for a right that its user
// lacks, and was not just away.
func Refused(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// Control publishes a command to all nodes, this one included.
func (n *nodes) Control(ctx context.Context, command string) error {
	if err := n.servers.Publish(ctx, n.servers.Client, n.names.control(), command).Err(); err != nil {
		return fmt.Errorf("publish to all nodes: %w", err)
	}
	return nil
}

// Controls hands every command of Control to handle, one after the other, until ctx ends.
// Commands published while Redis is away are lost. failed is called with the reason for each
// interruption, before the next try a second later.
func (n *nodes) Controls(ctx context.Context, handle func(command string), failed func(error)) {
	for {
		err := n.listen(ctx, handle)
		if ctx.Err() != nil {
			return
		}
		failed(fmt.Errorf("listen to other nodes: %w", err))
		n.servers.Refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// listen receives commands until the connection fails, or is silent for longer than a
// ping takes.
func (n *nodes) listen(ctx context.Context, handle func(command string)) error {
	const silence = 10 * time.Second
	name := n.names.control()
	server, err := n.servers.Of(ctx, name)
	if err != nil {
		return err
	}
	c := n.servers.Subscribe(ctx, server)
	defer c.Close()
	defer context.AfterFunc(ctx, c.Cut)() // no read ends with ctx
	if err := c.Add(ctx, name); err != nil {
		return err
	}
	for pinged := false; ; {
		m, err := c.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && !pinged:
			if err := c.Ping(ctx); err != nil {
				return err
			}
			pinged = true
			continue
		case err != nil:
			return err
		}
		pinged = false
		switch m := m.(type) {
		case *redis.Message:
			handle(m.Payload)
		case *redis.Subscription:
			if m.Kind == "sunsubscribe" { // unsolicited
				return errors.New("the channel's slot has moved to another server")
			}
		}
	}
}
