// Package fanout brings messages that are published in Redis to the shards of a process,
// and publishes messages itself. It knows no sockets.
//
// The Broker numbers the messages of each channel and hands them to its sinks, the shards.
// Broker.Replay gives a returning client the messages that it has missed. Messages, positions
// and cursors are in package message below; a shard delivers each message to its subscribers
// with package index.
//
// The path of a message, and the file of each step:
//
//  1. a link's session subscribes and receives it: session.go, pubsub.go
//  2. it is read, and held where its channel isn't caught up: wire.go, held.go
//  3. it gets its number and position: dispatch.go
//  4. it enters the channel's ring of recent messages: ring.go
//  5. each sink of the channel gets it by Deliver: sink.go
//  6. the shard publishes it to its index, and delivers it: index
//
// A channel's path to that: subscribe.go, resync.go. A returning client's: replay.go,
// requests.go, catchup.go, from streams.go and history.go.
package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/fanout/message"
)

// Broker brings messages that are published in Redis to the sinks of each channel. A
// channel belongs to one link, a connection to Redis, for as long as the process lives;
// the link's receive goroutine numbers its messages and hands them to the sinks with the
// link's lock held, which is all that order takes. Redis may be away at any time, also at
// the start: the links try for ever, Ready says so, and requests stay pending.
type Broker struct {
	nodes

	// Immutable.

	config   Config
	start    time.Time
	probes   *upstream.Servers // for probes alone: they don't wait for a connection behind commands
	links    []*link
	embedded *miniredis.Miniredis // nil when config.URL names a server

	// Guarded by their own locks.

	sinks    sinks
	oversize oversize

	// Atomic.

	held      atomic.Int64 // bytes held by all links, at most maxHeldBytes
	running   atomic.Bool
	roundTrip atomic.Pointer[func(time.Duration)]
}

// NewBroker returns a broker that waits for Run. The node's name must be another one at
// each start of the process, or a plain position from before it would seem to be valid.
// With an empty config.URL the embedded server is started here.
func NewBroker(config Config, log *slog.Logger, node string) (*Broker, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if err := message.ValidNode(node); err != nil {
		return nil, err
	}
	b := &Broker{config: config, start: time.Now()}
	b.node, b.log, b.names = node, log, names{config.Prefix}
	where := config
	if config.URL == "" {
		e, err := startEmbedded(config.Embedded)
		if err != nil {
			return nil, err
		}
		log.Warn("no Redis is configured: serving an embedded one, nothing survives a restart", "addr", e.Addr())
		b.embedded, where.URL = e, "redis://"+e.Addr()
	}
	var err error
	if b.servers, err = upstream.Open(where.URL, upstream.TLS(where.TLS), "pushgate-"+node); err == nil {
		b.probes, err = upstream.Open(where.URL, upstream.TLS(where.TLS), "pushgate-"+node)
	}
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	n := config.Connections
	if b.servers.Sharded() {
		n = max(n, clusterLinks)
	}
	for i := range n {
		b.links = append(b.links, newLink(b, i, n))
	}
	return b, nil
}

// OnRoundTrip has fn called with the time of each probe from here to Redis and back. It
// is called by the goroutines that receive, and must not block.
func (b *Broker) OnRoundTrip(fn func(time.Duration)) { b.roundTrip.Store(&fn) }

// Age returns how long ago a message reached this node, 0 for one that was read from a stream,
// and for a notice.
func (b *Broker) Age(m *message.Message) time.Duration {
	if m.Arrived == 0 {
		return 0
	}
	return time.Duration(max(0, int64(microseconds(b.start)-m.Arrived))) * time.Microsecond
}

// Node returns the name of this node in plain positions.
func (b *Broker) Node() string { return b.node }

// Embedded returns the address of the embedded server as bound, empty without one.
func (b *Broker) Embedded() string {
	if b.embedded == nil {
		return ""
	}
	return b.embedded.Addr()
}

// Run connects, receives and probes until ctx ends, and returns nil when all its
// goroutines have ended. It is called once.
func (b *Broker) Run(ctx context.Context) error {
	if b.running.Swap(true) {
		return errors.New("the broker runs already")
	}
	var wg sync.WaitGroup
	for _, l := range b.links {
		wg.Go(func() { l.run(ctx) })
		wg.Go(func() { l.sweep(ctx) })
	}
	if b.embedded != nil {
		wg.Go(func() { expireKeys(ctx, b.embedded) })
	}
	var err error
	wg.Go(func() {
		<-ctx.Done()
		err = b.Close() // or the others wait for reads under way until their timeout
	})
	wg.Wait()
	return err
}

// NewClient returns a client for the servers of a configuration, or for the embedded one of
// another process. It retries nothing. On a Cluster a command without a key goes to any of
// them. The caller closes it.
func NewClient(c Config) (redis.UniversalClient, error) {
	if c.URL == "" {
		c.URL = "redis://" + c.Embedded
	}
	s, err := upstream.Open(c.URL, upstream.TLS(c.TLS), "pushgate")
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	return s.Client, nil
}

// DiscardRedisLog turns off the log of go-redis, which writes a line to standard error
// for each failed dial: while Redis is away that is several a second. The broker logs the
// same once. go-redis has one logger for the process, so it is for the program to call.
func DiscardRedisLog() { redis.SetLogger(discardLog{}) }

type discardLog struct{}

func (discardLog) Printf(context.Context, string, ...any) {}

// Close frees the resources of NewBroker. Run does it itself; it is for a broker that is
// never run.
func (b *Broker) Close() error {
	err := errors.Join(b.servers.Close(), b.probes.Close())
	if b.embedded != nil {
		b.embedded.Close()
	}
	return err
}

// clusterLinks is the least number of links on a Cluster. Each has the channels of an
// equal range of slots. A server usually owns one range, so that its loss
// concerns the links of that range and leaves the others alone.
const clusterLinks = 16

// linkOfSlot returns the number of the link that has a slot, of so many.
func linkOfSlot(slot, of int) int { return slot * of / upstream.Slots }

// link returns the link of a channel.
func (b *Broker) link(channel string) *link {
	if b.servers.Sharded() {
		return b.links[linkOfSlot(upstream.Slot(b.names.channel(channel)), len(b.links))]
	}
	return b.links[hashName(channel)>>32%uint64(len(b.links))]
}

// MostHistory is the most messages that a replay gives.
func (b *Broker) MostHistory() int { return b.config.ReplayMessages }

// Join makes s a sink of the channel and returns where it stands if the channel is live.
// Else s.Joined is called as soon as Redis confirms. It does no I/O. Joining again is
// answered again.
func (b *Broker) Join(channel string, s Sink) (at Joined, live bool) {
	return b.link(channel).join(channel, b.sinks.bit(s))
}

// Leave has the channel's messages no longer handed to s. Redis is unsubscribed after
// Config.Linger.
func (b *Broker) Leave(channel string, s Sink) {
	b.link(channel).leave(channel, b.sinks.bit(s))
}

// Withdraw is Leave if s still awaits Joined, and reports whether it did. Else nothing changes:
// Joined has been called.
func (b *Broker) Withdraw(channel string, s Sink) bool {
	return b.link(channel).withdraw(channel, b.sinks.bit(s))
}

// Ready returns nil when every connection to Redis delivers all its channels, and Redis
// takes durable messages, as far as any were published here lately.
func (b *Broker) Ready() error {
	var errs []error
	for _, l := range b.links {
		if err := l.ready(); err != nil {
			errs = append(errs, fmt.Errorf("redis connection %s: %w", l.label, err))
		}
	}
	return errors.Join(append(errs, b.failures.ready())...)
}

// startEmbedded starts a Redis server within the process, for trying things out, that
// listens on addr, host:port.
func startEmbedded(addr string) (*miniredis.Miniredis, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("redis.embedded: %w", err)
	}
	mini.Server().SetPreHook(refuseCommandDocs)
	return mini, nil
}

// refuseCommandDocs answers COMMAND DOCS like a Redis before 7.0, which didn't have it.
// The library takes it for COMMAND, and on that answer redis-cli 7 aborts before its
// first prompt.
func refuseCommandDocs(peer *server.Peer, command string, args ...string) bool {
	if command != "COMMAND" || len(args) == 0 {
		return false
	}
	peer.WriteError("ERR Unknown subcommand or wrong number of arguments for '" + args[0] + "'")
	return true
}

// expireKeys advances the embedded server's clock until ctx ends: its keys don't expire
// otherwise.
func expireKeys(ctx context.Context, mini *miniredis.Miniredis) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			mini.FastForward(now.Sub(last))
			last = now
		}
	}
}
