package fanout

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// embedded is a Redis server within the process, for trying things out.
type embedded struct {
	server *miniredis.Miniredis
}

// startEmbedded listens on addr, host:port.
func startEmbedded(addr string) (*embedded, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("redis.embedded: %w", err)
	}
	mini.Server().SetPreHook(refuseCommandDocs)
	return &embedded{server: mini}, nil
}

// refuseCommandDocs answers COMMAND DOCS like a Redis before 7.0, which didn't
// have it. The library takes it for COMMAND, and on that answer redis-cli 7
// aborts before its first prompt.
func refuseCommandDocs(peer *server.Peer, command string, args ...string) bool {
	if command != "COMMAND" || len(args) == 0 {
		return false
	}
	peer.WriteError("ERR Unknown subcommand or wrong number of arguments for '" + args[0] + "'")
	return true
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
