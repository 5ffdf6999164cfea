package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
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

// ConfigError is one key with a value that is not allowed.
type ConfigError struct {
	Key   string // as the operator writes it
	Value string
	Want  string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("%s: %s is not allowed, want %s", e.Key, e.Value, e.Want)
}

// Validate returns the reasons why a URL with settings for TLS can't be meant: an
// errors.Join of one *ConfigError for each key, or nil. It reads the files.
func Validate(text string, settings TLS) error {
	bad := func(want string) error { return &ConfigError{"redis.url", maskURL(text), want} }
	p, err := parse(text, settings)
	switch {
	case err == errNoTLS:
		return bad("rediss:// or rediss+… where redis.tls or a parameter for TLS is given")
	case err != nil:
		return bad("redis://host:port[/db], rediss:// for TLS, with user:password@ before the host where it has one, " +
			"unix:///path, redis+sentinel://host:port?master_name=name, or redis+cluster://host:port")
	case redisurl.Want(text) != "":
		return bad(redisurl.Want(text))
	case p.tls != nil:
		_, err = p.tls.load()
		return err
	}
	return nil
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

// parseURL takes apart the URL of a server, as go-redis does, and behind
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
// have yet the messages that its master's subscribers have.
var errReplicas = errors.New("a gateway reads from masters only")
