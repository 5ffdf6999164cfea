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

//go:embed fleet.lua
var fleetText string

// fleetScript is sent once to each server and then called by its hash.
var fleetScript = redis.NewScript(fleetText)

// forgetAfter is the silence after which a node is taken for dead: three beats.
const forgetAfter = 15 * time.Second

// Beat tells the other nodes what this one says of itself, and returns what
// each says, by the nodes' names. It is one round trip, made every 5 s by each node.
func (b *Broker) Beat(ctx context.Context, says string) (fleet map[string]string, err error) {
	return b.beat(ctx, says)
}

// Retire has the other nodes forget this one at once.
func (b *Broker) Retire(ctx context.Context) error {
	_, err := b.beat(ctx, "")
	return err
}

func (b *Broker) beat(ctx context.Context, says string) (map[string]string, error) {
	keys := []string{b.names.nodes(), b.names.node()}
	pairs, err := fleetScript.Run(ctx, b.servers.client, keys, b.node, says, forgetAfter.Milliseconds()).StringSlice()
	if err != nil {
		b.servers.lookAgain(ctx)
		return nil, fmt.Errorf("meet the other nodes: %w", err)
	}
	fleet := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fleet[pairs[i]] = pairs[i+1]
	}
	return fleet, nil
}

// Refused reports whether a server answered with an error, such as that of a
// right that its user lacks, and was not just away.
func Refused(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// Control publishes a command to all nodes, this one included.
func (b *Broker) Control(ctx context.Context, command string) error {
	if err := b.servers.publish(ctx, b.servers.client, b.names.control(), command).Err(); err != nil {
		return fmt.Errorf("publish to all nodes: %w", err)
	}
	return nil
}

// Controls hands every command of Control to handle, one after the other, until
// ctx ends. What is published while Redis is away doesn't come. failed is called
// with each reason why nothing comes, before the next try a second later.
func (b *Broker) Controls(ctx context.Context, handle func(command string), failed func(error)) {
	for {
		err := b.listen(ctx, handle)
		if ctx.Err() != nil {
			return
		}
		failed(fmt.Errorf("listen to other nodes: %w", err))
		b.servers.lookAgain(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// listen receives commands until the connection fails, or is silent for longer
// than a ping takes.
func (b *Broker) listen(ctx context.Context, handle func(command string)) error {
	const silence = 10 * time.Second
	name := b.names.control()
	server, err := b.servers.of(ctx, name)
	if err != nil {
		return err
	}
	client, g := subscriber(server)
	defer client.Close()
	defer context.AfterFunc(ctx, g.cut)() // nothing that is read ends with ctx
	c := client.Subscribe(ctx)            // connects at the first channel
	defer c.Close()
	if b.servers.cluster != nil {
		err = c.SSubscribe(ctx, name)
	} else {
		err = c.Subscribe(ctx, name)
	}
	if err != nil {
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
			if m.Kind == "sunsubscribe" { // nobody asked for it
				return errors.New("the channel's slot has moved to another server")
			}
		}
	}
}
