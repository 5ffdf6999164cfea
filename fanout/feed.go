package fanout

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// feed is one subscribing connection to one server. It lives as long as the
// session that made it, or shorter.
type feed struct {
	// Immutable.

	l         *link
	server    *redis.Client // for commands
	client    *redis.Client // its only connection is the one of pubsub
	gate      *gate
	pubsub    *redis.PubSub
	probeName string

	// Atomic.

	heard atomic.Int64 // when the last probe came back, nanoseconds after the link's start
}

// newFeed connects to a server and subscribes to the probe channel. The
// connection is cut when ctx ends.
func newFeed(ctx context.Context, l *link, server *redis.Client, probeName string) (*feed, error) {
	client, g := subscriber(server)
	f := &feed{l: l, server: server, client: client, gate: g, probeName: probeName}
	f.pubsub = f.client.Subscribe(ctx) // connects at the first channel
	stop := context.AfterFunc(ctx, g.cut)
	if err := f.subscribe(ctx, probeName); err != nil {
		stop()
		f.close()
		return nil, err
	}
	f.heard.Store(int64(time.Since(l.start)))
	return f, nil
}

// subscriber returns a client of the server for a subscription, with the gate of
// its only connection.
func subscriber(server *redis.Client) (*redis.Client, *gate) {
	own := *server.Options()
	g := &gate{dial: own.Dialer}
	own.Dialer = g.Dial
	own.PipelinePoolSize = -1
	own.MinIdleConns = 0
	return redis.NewClient(&own), g
}

func (f *feed) close() {
	_ = f.pubsub.Close()
	_ = f.client.Close()
}

func (f *feed) subscribe(ctx context.Context, names ...string) error {
	if f.l.b.servers.cluster != nil {
		return f.pubsub.SSubscribe(ctx, names...)
	}
	return f.pubsub.Subscribe(ctx, names...)
}

func (f *feed) unsubscribe(ctx context.Context, names ...string) error {
	if f.l.b.servers.cluster != nil {
		return f.pubsub.SUnsubscribe(ctx, names...)
	}
	return f.pubsub.Unsubscribe(ctx, names...)
}

// receive reads the connection until it fails.
func (f *feed) receive(ctx context.Context) error {
	// The probes come back more often than that. A timeout must end the
	// session in any case: it may have struck within a reply.
	timeout := (missedProbes + 1) * f.l.b.config.ProbeInterval
	for {
		reply, err := f.pubsub.ReceiveTimeout(ctx, timeout)
		switch {
		case redis.HasErrorPrefix(err, "NOPERM"):
			// Redis refuses all channels of the command and doesn't say which one
			// it means.
			return fmt.Errorf("subscribe: the user lacks a right, such as &%s*: %w", f.l.b.config.Prefix, err)
		case f.l.b.servers.movedOn(err):
			return fmt.Errorf("%w: %w", errSlotMoved, err)
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		switch reply := reply.(type) {
		case *redis.Message:
			if reply.Channel == f.probeName {
				f.probeHeard(reply.Payload)
			} else {
				f.l.message(reply.Channel, reply.Payload)
			}
		case *redis.Subscription:
			switch {
			case reply.Channel == f.probeName && reply.Kind != "sunsubscribe":
			case reply.Kind == "subscribe", reply.Kind == "ssubscribe":
				f.l.subscribed(reply.Channel)
			case reply.Kind == "sunsubscribe" && (reply.Channel == f.probeName || f.l.follows(reply.Channel)):
				// Nobody asked for it.
				return fmt.Errorf("%w: that of %s", errSlotMoved, strconv.Quote(reply.Channel))
			case reply.Kind == "unsubscribe", reply.Kind == "sunsubscribe":
				f.l.unsubscribed()
			}
		}
	}
}
