package fanout

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// embedded is a Redis server within the process, for trying things out.
type embedded struct {
	server *miniredis.Miniredis
}

// startEmbedded listens on addr, host:port.
func startEmbedded(addr string) (*embedded, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("embedded redis on %s: %w", addr, err)
	}
	return &embedded{server: server}, nil
}

func (e *embedded) addr() string { return e.server.Addr() }

// run makes time pass until ctx ends: keys of this server expire only when
// they are told that it has.
func (e *embedded) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			e.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (e *embedded) close() { e.server.Close() }
