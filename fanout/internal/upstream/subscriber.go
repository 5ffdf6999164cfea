package upstream

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Subscriber is a subscribing connection to one server, which go-redis never makes anew
// by itself.
type Subscriber struct {
	*redis.PubSub // connects at the first channel

	client  *redis.Client // its only connection is the one of PubSub
	dialer  *oneShotDialer
	sharded bool
}

// Subscribe returns a Subscriber to a server of s. ctx bounds nothing but the
// connection's start.
func (s *Servers) Subscribe(ctx context.Context, server *redis.Client) *Subscriber {
	own := *server.Options()
	d := &oneShotDialer{dial: own.Dialer}
	own.Dialer = d.Dial
	own.PipelinePoolSize = -1
	own.MinIdleConns = 0
	client := redis.NewClient(&own)
	return &Subscriber{client.Subscribe(ctx), client, d, s.Sharded()}
}

// Add subscribes to channels, of one slot on a Cluster.
func (s *Subscriber) Add(ctx context.Context, names ...string) error {
	if s.sharded {
		return s.SSubscribe(ctx, names...)
	}
	return s.PubSub.Subscribe(ctx, names...)
}

// Remove unsubscribes from channels, of one slot on a Cluster.
func (s *Subscriber) Remove(ctx context.Context, names ...string) error {
	if s.sharded {
		return s.SUnsubscribe(ctx, names...)
	}
	return s.PubSub.Unsubscribe(ctx, names...)
}

// Cut closes the connection under go-redis, which may hold its lock in a blocked write,
// and keeps it from being made. Close is still to be called.
func (s *Subscriber) Cut() { s.dialer.cut() }

// Close frees the connection.
func (s *Subscriber) Close() {
	_ = s.PubSub.Close()
	_ = s.client.Close()
}

// errRedial is the result where go-redis dials on its own.
var errRedial = errors.New("the connection is lost")

// oneShotDialer is the dialer of a subscriber. A redis.PubSub that meets an error reconnects at
// once within the failing call and sends all its channels in a single SUBSCRIBE, which hides
// which of them are live again. It lets one dial through, so that the error comes back to the
// session, and it keeps the connection to be able to cut it while go-redis holds its lock in a
// blocked write.
type oneShotDialer struct {
	// Immutable.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Guarded by mu.
	mu   sync.Mutex
	used bool // it has let one through
	shut bool // it was cut
	conn net.Conn
}

// Dial is go-redis' Options.Dialer.
func (g *oneShotDialer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	g.mu.Lock()
	closed := g.used || g.shut
	g.used = true
	g.mu.Unlock()
	if closed {
		return nil, errRedial
	}
	conn, err := g.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = conn.Close()
		return nil, errRedial
	}
	g.conn = conn
	return conn, nil
}

// cut closes the connection under go-redis.
func (g *oneShotDialer) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	if g.conn != nil {
		_ = g.conn.Close()
	}
}
