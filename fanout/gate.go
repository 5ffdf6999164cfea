package fanout

import (
	"context"
	"errors"
	"net"
	"sync"
)

// errRedial is what go-redis gets when it dials on its own.
var errRedial = errors.New("the connection is lost")

// gate is the dialer of a subscriber. A redis.PubSub that meets an error
// reconnects at once within the failing call and sends all its channels in a
// single SUBSCRIBE, and nobody learns which of them are live again. The gate
// lets one dial through, so that the error comes back to the session, and it
// keeps the connection to be able to cut it while go-redis holds its lock in a
// blocked write.
type gate struct {
	// Immutable.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Guarded by mu.
	mu   sync.Mutex
	used bool // it has let one through
	shut bool // it was cut
	conn net.Conn
}

// Dial is go-redis' Options.Dialer.
func (g *gate) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
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
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	if g.conn != nil {
		_ = g.conn.Close()
	}
}
