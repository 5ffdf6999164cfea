package upstream

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/redisurl"
)

// The schemes of a URL that names more than one server; with TLS, rediss.
const (
	sentinelScheme = "+sentinel"
	clusterScheme  = "+cluster"
)

// Validate calls bad for each key under "redis" with a value that can't be meant: for the
// URL, and for the settings for TLS. It reads the files.
func Validate(text string, settings TLS, bad func(key, value, want string)) {
	p, err := parse(text, settings)
	want := redisurl.Want(text)
	switch {
	case err == errNoTLS:
		want = "rediss:// or rediss+… where redis.tls or a parameter for TLS is given"
	case err != nil:
		want = "redis://host:port[/db], rediss:// for TLS, with user:password@ before the host where it has one, " +
			"unix:///path, redis+sentinel://host:port?master_name=name, or redis+cluster://host:port"
	case want == "" && p.tls != nil:
		p.tls.Load(func(key, value, want string) { bad("tls."+key, strconv.Quote(value), want) })
	}
	if want != "" {
		bad("url", maskURL(text), want)
	}
}

// maskURL returns u quoted and without its passwords.
func maskURL(u string) string {
	parsed, err := url.Parse(u)
	if err != nil {
		// The text can't be taken apart, so any of it may be the password.
		return "the given URL"
	}
	if q := parsed.Query(); q.Has("password") {
		q.Set("password", "xxxxx")
		parsed.RawQuery = q.Encode()
	}
	return strconv.Quote(parsed.Redacted())
}

// parsed is a URL taken apart, with just one of its first three fields set.
type parsed struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions

	tls *secure // nil without
}

// parse takes apart a URL, with its parameters for TLS.
func parse(text string, settings TLS) (parsed, error) {
	rest, own, skipVerify, err := settings.Cut(text)
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
	} else if own != (TLS{}) || skipVerify {
		return parsed{}, errNoTLS
	}
	return p, nil
}

// errNoTLS refuses settings for TLS beside a URL without.
var errNoTLS = errors.New("redis.tls and its parameters need a URL with rediss://")

// parseURL takes apart the URL of a server, as go-redis does, and behind the schemes
// redis+sentinel and redis+cluster the URLs of the other two.
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

// errReplicas refuses go-redis' options for reading from replicas: one may not have yet
// the messages that its master's subscribers have.
var errReplicas = errors.New("a gateway reads from masters only")
