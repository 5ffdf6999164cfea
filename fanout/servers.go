package fanout

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The schemes of a URL that names more than one server; with TLS, rediss.
const (
	sentinelScheme = "+sentinel"
	clusterScheme  = "+cluster"
)

// servers is where a URL leads: a server, the one that Sentinels say is the
// master, or a Cluster, in which every channel has a server of its own, the
// owner of its slot.
type servers struct {
	// client runs commands wherever they belong.
	client redis.UniversalClient
	// cluster is client where it is one, else nil.
	cluster *redis.ClusterClient
}

// parsed is a URL taken apart, with just one of its first three fields set.
type parsed struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions

	tls *secure // nil without
}

// parse takes apart where c leads, with what it says of TLS.
func (c Config) parse() (parsed, error) {
	rest, own, skipVerify, err := c.TLS.Cut(c.URL)
	if err != nil {
		return parsed{}, err
	}
	p, err := parseURL(rest)
	if err != nil {
		return parsed{}, err
	}
	var given *tls.Config
	switch {
	case p.single != nil:
		given = p.single.TLSConfig
	case p.sentinel != nil:
		given = p.sentinel.TLSConfig
	default:
		given = p.cluster.TLSConfig
	}
	if given != nil {
		p.tls = &secure{own, given.ServerName, skipVerify}
	} else if own != (TLSConfig{}) || skipVerify {
		return parsed{}, errNoTLS
	}
	return p, nil
}

// errNoTLS refuses what is said of TLS for a URL without.
var errNoTLS = errors.New("redis.tls and its parameters need a URL with rediss://")

// parseURL takes apart what go-redis knows as the URL of a server, and behind
// the schemes redis+sentinel and redis+cluster those of the other two.
func parseURL(text string) (p parsed, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	family, kind, _ := strings.Cut(scheme, "+")
	switch plain := family + "://" + rest; "+" + kind {
	case sentinelScheme:
		p.sentinel, err = redis.ParseFailoverURL(plain)
		if o := p.sentinel; err != nil {
			break
		} else if o.MasterName == "" {
			err = errors.New("master_name is missing")
		} else if o.ReplicaOnly || o.RouteByLatency || o.RouteRandomly {
			err = errReplicas
		}
	case clusterScheme:
		p.cluster, err = redis.ParseClusterURL(plain)
		if o := p.cluster; err == nil && (o.ReadOnly || o.RouteByLatency || o.RouteRandomly) {
			err = errReplicas
		}
	default:
		p.single, err = redis.ParseURL(text)
	}
	return p, err
}

// errReplicas refuses go-redis' options for reading from replicas: one may not
// have yet what its master has told the subscribers of.
var errReplicas = errors.New("a gateway reads from masters only")

// newServers returns clients for a configuration; name is what the servers list
// them as.
func newServers(c Config, name string) (*servers, error) {
	quietLog()
	p, err := c.parse()
	if err != nil {
		return nil, err
	}
	// Protocol 2 is all that is needed and leaves out push notifications,
	// client-side caching and maintenance hand-overs, which would change
	// connections behind our back. A PUBLISH that timed out may have been
	// heard: whoever publishes decides whether to repeat it. Reads are
	// repeated by their callers.
	const protocol, maxRetries, dialerRetries = 2, -1, 1
	fill := func(clientName *string, dialTimeout *time.Duration, dial *func(ctx context.Context, network, addr string) (net.Conn, error)) {
		if *clientName == "" {
			*clientName = name
		}
		if *dialTimeout == 0 {
			*dialTimeout = 5 * time.Second // go-redis' own, which the gate's dialer would not see
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
		return &servers{c, c}, nil
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

func single(c *redis.Client) *servers {
	c.AddHook(wholeHook{})
	return &servers{client: c}
}

// NewClient returns a client for the servers of a configuration, or for those of
// another process that embeds its own. It repeats nothing. On a Cluster a
// question that concerns no key goes to any of them.
func NewClient(c Config) (redis.UniversalClient, error) {
	if c.URL == "" {
		c.URL = "redis://" + c.Embedded
	}
	s, err := newServers(c, "pushgate")
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	return s.client, nil
}

// of returns the client of the server that a channel, with its prefix, belongs
// to now.
func (s *servers) of(ctx context.Context, full string) (*redis.Client, error) {
	if s.cluster != nil {
		return s.cluster.MasterForKey(ctx, full)
	}
	return s.client.(*redis.Client), nil
}

// publish is the command that publishes to a channel, with its prefix. On a
// Cluster it is SPUBLISH, which reaches those subscribed at the slot's owner.
func (s *servers) publish(ctx context.Context, c redis.Cmdable, full string, payload any) *redis.IntCmd {
	if s.cluster != nil {
		return c.SPublish(ctx, full, payload)
	}
	return c.Publish(ctx, full, payload)
}

// once keeps a Cluster's client from repeating a single command that may have
// been carried out: one that timed out, or whose connection broke. It still
// goes to another server where one says that it belongs there. Reads are sent
// in pipelines, which are repeated.
type once struct{ redis.Cmder }

// NoRetry is asked by go-redis.
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

// lookAgain has a Cluster asked, in the background, who owns what: when a server
// fails another takes its place.
func (s *servers) lookAgain(ctx context.Context) {
	if s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

// movedOn reports whether a server of a Cluster has refused a command because
// its slot is another's, or on the way to another.
func (s *servers) movedOn(err error) bool {
	return s.cluster != nil && slices.ContainsFunc([]string{"MOVED ", "ASK ", "TRYAGAIN "}, func(code string) bool {
		return redis.HasErrorPrefix(err, code)
	})
}

func (s *servers) close() error { return s.client.Close() }

// slots is how many parts a Cluster's keys and channels are divided into.
const slots = 16384

// slot returns that of a channel, with its prefix, by the Cluster's rule: CRC16
// (XMODEM) of the name. Neither a channel's name nor the prefix can hold
// braces, of which only the content would count.
func slot(full string) int {
	var crc uint16
	for i := range len(full) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^full[i]]
	}
	return int(crc) % slots
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
