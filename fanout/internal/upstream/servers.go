// Package upstream connects to Redis: to one server, to the master that Sentinels name,
// or to a Cluster, with TLS or without.
package upstream

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Servers is the other end of a URL: a server, the one that Sentinels say is the master,
// or a Cluster, in which every channel has a server of its own, the owner of its slot. It
// is safe for concurrent use.
type Servers struct {
	// Client runs commands wherever they belong. It retries none.
	Client redis.UniversalClient

	cluster *redis.ClusterClient // Client where it is one, else nil
}

// Sharded reports whether the servers are a Cluster.
func (s *Servers) Sharded() bool { return s.cluster != nil }

// Open returns clients for a URL, which connect when they are used; name is the one under
// which the servers list them.
func Open(text string, settings TLS, name string) (*Servers, error) {
	p, err := parse(text, settings)
	if err != nil {
		return nil, err
	}
	// Protocol 2 is all that is needed and leaves out push notifications, client-side caching
	// and maintenance hand-overs, which would change connections behind our back. A PUBLISH
	// that timed out may have been delivered: the publisher decides whether to repeat it. Reads
	// are retried by their callers.
	const protocol, maxRetries, dialerRetries = 2, -1, 1
	fill := func(clientName *string, dialTimeout *time.Duration, dial *func(ctx context.Context, network, addr string) (net.Conn, error)) {
		if *clientName == "" {
			*clientName = name
		}
		if *dialTimeout == 0 {
			*dialTimeout = 5 * time.Second // go-redis' own, which the one-shot dialer would not see
		}
		if p.tls != nil {
			*dial = p.tls.dialer(*dialTimeout)
		}
	}
	switch {
	case p.cluster != nil:
		o := p.cluster
		o.Protocol, o.DisableIdentity, o.ContextTimeoutEnabled = protocol, true, true
		o.MaxRetries, o.DialerRetries = maxRetries, dialerRetries
		fill(&o.ClientName, &o.DialTimeout, &o.Dialer)
		c := redis.NewClusterClient(o)
		c.AddHook(onceHook{})
		c.AddHook(wholeHook{})
		c.OnNewNode(func(server *redis.Client) { server.AddHook(wholeHook{}) })
		return &Servers{c, c}, nil
	case p.sentinel != nil:
		o := p.sentinel
		o.Protocol, o.DisableIdentity, o.ContextTimeoutEnabled = protocol, true, true
		o.MaxRetries, o.DialerRetries = maxRetries, dialerRetries
		fill(&o.ClientName, &o.DialTimeout, &o.Dialer)
		return single(redis.NewFailoverClient(o)), nil
	default:
		o := p.single
		o.Protocol, o.DisableIdentity, o.ContextTimeoutEnabled = protocol, true, true
		o.MaxRetries, o.DialerRetries = maxRetries, dialerRetries
		fill(&o.ClientName, &o.DialTimeout, &o.Dialer)
		return single(redis.NewClient(o)), nil
	}
}

func single(c *redis.Client) *Servers {
	c.AddHook(wholeHook{})
	return &Servers{Client: c}
}

// Of returns the client of the server that a channel, with its prefix, belongs to now.
func (s *Servers) Of(ctx context.Context, full string) (*redis.Client, error) {
	if s.cluster != nil {
		return s.cluster.MasterForKey(ctx, full)
	}
	return s.Client.(*redis.Client), nil
}

// Publish is the command that publishes to a channel, with its prefix. On a Cluster it is
// SPUBLISH, which reaches the subscribers at the slot's owner.
func (s *Servers) Publish(ctx context.Context, c redis.Cmdable, full string, payload any) *redis.IntCmd {
	if s.cluster != nil {
		return c.SPublish(ctx, full, payload)
	}
	return c.Publish(ctx, full, payload)
}

// once keeps a Cluster's client from repeating a single command that may have been executed:
// one that timed out, or whose connection broke. It still goes to another server where one says
// that it belongs there. Reads are sent in pipelines, which are repeated.
type once struct{ redis.Cmder }

// NoRetry is called by go-redis.
func (once) NoRetry() bool { return true }

// onceHook makes every single command such a one.
type onceHook struct{}

func (onceHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (onceHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return next(ctx, once{cmd}) }
}
func (onceHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Refresh has a Cluster asked, in the background, for the owners of its slots: when a
// server fails another takes its place.
func (s *Servers) Refresh(ctx context.Context) {
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

// Moved reports whether a server of a Cluster has refused a command because its slot is
// another's, or on the way to another.
func (s *Servers) Moved(err error) bool {
	return s.cluster != nil && slices.ContainsFunc([]string{"MOVED ", "ASK ", "TRYAGAIN "}, func(code string) bool {
		return redis.HasErrorPrefix(err, code)
	})
}

// Close closes the connections.
func (s *Servers) Close() error { return s.Client.Close() }

// Slots is the number of parts into which a Cluster's keys and channels are divided.
const Slots = 16384

// Slot returns the slot of a channel, with its prefix, by the Cluster's rule: CRC16
// (XMODEM) of the name. Neither a channel's name nor its prefix can hold braces, of which
// only the content would count.
func Slot(full string) int {
	var crc uint16
	for i := range len(full) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^full[i]]
	}
	return int(crc) % Slots
}

// crcTable holds the CRC of each byte.
var crcTable = func() (table [256]uint16) {
	const polynomial = 0x1021
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			high := crc & 0x8000
			crc <<= 1
			if high != 0 {
				crc ^= polynomial
			}
		}
		table[i] = crc
	}
	return table
}()

// wholeHook gives the error of a pipeline that has failed as a whole to each of its
// commands. go-redis does so only where the error is its own: when Redis refuses the new
// connection that a pipeline needs, for a password or because it is busy, Exec says so
// and no command does. A message would count as published, and a history as empty.
type wholeHook struct{}

func (wholeHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (wholeHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (wholeHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		if err == nil {
			return nil
		}
		for _, c := range commands {
			if c.Err() != nil {
				return err // each has its own
			}
		}
		for _, c := range commands {
			c.SetErr(err)
		}
		return err
	}
}
