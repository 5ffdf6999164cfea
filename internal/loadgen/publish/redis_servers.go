package publish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/redisurl"
)

// redisServers is where --redis leads, with just one of its first three fields set: to a
// server, to the one that Sentinels say is the master, or to a Cluster, in which
// every channel has a server of its own.
type redisServers struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions

	tls redisTLS
}

// errReplicas refuses go-redis' options for going to replicas, which take no
// messages.
var errReplicas = errors.New("messages are published at masters only")

// parseRedisURL reads a URL as the gateway reads its redis.url.
func parseRedisURL(text string) (s redisServers, err error) {
	var own redisTLS
	given := text
	if text, own.TLS, own.skipVerify, err = own.Cut(text); err != nil {
		return s, err
	}
	scheme, rest, _ := strings.Cut(text, "://")
	family, kind, _ := strings.Cut(scheme, "+")
	switch plain := family + "://" + rest; kind {
	case "sentinel":
		s.sentinel, err = redis.ParseFailoverURL(plain)
		if o := s.sentinel; err != nil {
			break
		} else if o.MasterName == "" {
			err = errors.New("master_name is missing")
		} else if o.ReplicaOnly || o.RouteByLatency || o.RouteRandomly {
			err = errReplicas
		}
	case "cluster":
		s.cluster, err = redis.ParseClusterURL(plain)
		if o := s.cluster; err == nil && (o.ReadOnly || o.RouteByLatency || o.RouteRandomly) {
			err = errReplicas
		}
	default:
		s.single, err = redis.ParseURL(text)
	}
	if parse := (*url.Error)(nil); errors.As(err, &parse) {
		err = parse.Err // without the text, which may hold a password
	}
	if want := redisurl.Want(given); err == nil && want != "" {
		err = errors.New("it needs " + want)
	}
	if err != nil {
		return s, err
	}
	if s.tls = own; s.secure() == nil && own != (redisTLS{}) {
		return s, errors.New("the parameters for TLS need rediss://")
	}
	if s.secure() != nil {
		_, err = own.load()
	}
	return s, err
}

// secure returns go-redis' settings for TLS; nil without.
func (s redisServers) secure() *tls.Config {
	switch {
	case s.cluster != nil:
		return s.cluster.TLSConfig
	case s.sentinel != nil:
		return s.sentinel.TLSConfig
	}
	return s.single.TLSConfig
}

// named lists the hosts that the URL names.
func (s redisServers) named() (hosts []string) {
	var addrs []string
	switch {
	case s.cluster != nil:
		addrs = s.cluster.Addrs
	case s.sentinel != nil:
		addrs = s.sentinel.SentinelAddrs
	case s.single.Network != "unix":
		addrs = []string{s.single.Addr}
	}
	for _, a := range addrs {
		if host, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// client returns a client that repeats nothing: a repeated PUBLISH would be a
// duplicate of ours, not of the gateway's. It connects to servers of this host,
// or with remote to any: a Cluster and Sentinels name others than the URL does.
func (s redisServers) client(remote bool) redis.UniversalClient {
	silence()
	const protocol, maxRetries, dialerRetries, poolSize = 2, -1, 1, 2
	switch {
	case s.cluster != nil:
		o := s.cluster
		o.Protocol, o.DisableIdentity = protocol, true
		o.MaxRetries, o.DialerRetries, o.PoolSize = maxRetries, dialerRetries, poolSize
		o.Dialer = s.dialer(o.DialTimeout, remote)
		c := redis.NewClusterClient(o)
		c.AddHook(onceHook{})
		return c
	case s.sentinel != nil:
		o := s.sentinel
		o.Protocol, o.DisableIdentity = protocol, true
		o.MaxRetries, o.DialerRetries, o.PoolSize = maxRetries, dialerRetries, poolSize
		o.Dialer = s.dialer(o.DialTimeout, remote)
		return redis.NewFailoverClient(o)
	default:
		o := s.single
		o.Protocol, o.DisableIdentity = protocol, true
		o.MaxRetries, o.DialerRetries, o.PoolSize = maxRetries, dialerRetries, poolSize
		o.Dialer = s.dialer(o.DialTimeout, remote)
		return redis.NewClient(o)
	}
}

// errHandshake marks a failed TLS handshake on an open connection.
var errHandshake = errors.New("TLS handshake")

// dialer connects, over TLS if the URL says so. The files are read for each
// connection: renewed ones count.
func (s redisServers) dialer(timeout time.Duration, remote bool) func(context.Context, string, string) (net.Conn, error) {
	if timeout == 0 {
		timeout = 5 * time.Second // go-redis' own
	}
	d := &net.Dialer{Control: loopbackOnly(remote)}
	connect := d.DialContext
	if given := s.secure(); given != nil {
		connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := s.tls.load()
			if err != nil {
				return nil, err
			}
			at, _, _ := net.SplitHostPort(addr)
			s.tls.Hold(c, s.tls.skipVerify, given.ServerName, at)
			conn, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			secured := tls.Client(conn, c)
			if err := secured.HandshakeContext(ctx); err != nil {
				conn.Close()
				return nil, fmt.Errorf("%w: %w", errHandshake, err)
			}
			return secured, nil
		}
	}
	return dialing(func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return connect(ctx, network, addr)
	})
}

// once keeps a Cluster's client from repeating a command that may have been
// carried out. It still goes to another server where one says that it belongs
// there.
type once struct{ redis.Cmder }

// NoRetry is called by go-redis.
func (once) NoRetry() bool { return true }

// onceHook makes every command of a pipeline such a one.
type onceHook struct{}

func (onceHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (onceHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (onceHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		all := make([]redis.Cmder, len(cmds))
		for i, cmd := range cmds {
			all[i] = once{cmd}
		}
		return next(ctx, all)
	}
}

// redisServers reads --redis and refuses one that leaves the host.
func serversOf(ctx context.Context, c plan.Config) (redisServers, error) {
	var e plan.Problems
	s, err := parseRedisURL(c.Redis)
	if err != nil {
		e.Add("--redis", plan.PrintableURL(c.Redis), "want the gateway's redis.url, such as redis://127.0.0.1:6379, redis+cluster://host:port or redis+sentinel://host:port?master_name=name: %v", err)
		return s, errors.Join(e...)
	}
	for _, host := range s.named() {
		if c.AllowRemote {
			break
		}
		if a, err := plan.Resolve(ctx, host); err != nil {
			e.Add("--redis", plan.PrintableURL(c.Redis), "%v", err)
		} else if !a.IsLoopback() {
			e.Add("--redis", plan.PrintableURL(c.Redis), "%s", plan.NotThisHost(a))
		}
	}
	return s, errors.Join(e...)
}

// redisTLS is the TLS part of a URL of --redis, in the parameters that the
// gateway's redis.url has for it.
type redisTLS struct {
	redisurl.TLS
	skipVerify bool
}

// load reads the files.
func (t redisTLS) load() (*tls.Config, error) {
	var errs []error
	c := t.Load(func(key, value, want string) { errs = append(errs, fmt.Errorf("%s %q, want %s", key, value, want)) })
	return c, errors.Join(errs...)
}

// hint is advice on --redis for an error of the first command.
func (s redisServers) hint(err error) string {
	op := (*net.OpError)(nil)
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "?ca_file=FILE in the URL names the authority's certificate"
	case errors.As(err, new(x509.HostnameError)):
		return "?server_name=NAME in the URL names the certificate to expect"
	case errors.As(err, &op) && op.Op == "remote error", // an alert of TLS
		// With TLS 1.3 it may arrive too late to be read.
		s.secure() != nil && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)):
		return "?cert_file=FILE&key_file=FILE in the URL are the certificate that it asks its clients for"
	case errors.As(err, new(tls.RecordHeaderError)), errors.Is(err, errHandshake) && errors.Is(err, context.DeadlineExceeded):
		return "this port may not be for TLS, redis:// is for one without"
	}
	return "--redis must name the Redis that the gateway uses"
}
