package fanout

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/address"
	"github.com/pushgate/pushgate/internal/redisurl"
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

// Validate reports everything that is wrong with c at once: an errors.Join of
// one *ConfigError per key, or nil. It reads the files of TLS.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, value, want string) {
		errs = append(errs, &ConfigError{Key: "redis." + key, Value: value, Want: want})
	}
	count := func(key string, v, low, high int) {
		if v < low || v > high {
			bad(key, strconv.Itoa(v), fmt.Sprintf("%d to %d", low, high))
		}
	}
	span := func(key string, v, low, high time.Duration) {
		if v < low || v > high {
			bad(key, v.String(), fmt.Sprintf("%v to %v", low, high))
		}
	}
	if c.URL != "" {
		p, err := c.parse()
		switch {
		case err == errNoTLS:
			bad("url", maskURL(c.URL), "rediss:// or rediss+… where redis.tls or a parameter for TLS is given")
		case err != nil:
			bad("url", maskURL(c.URL), "redis://host:port[/db], rediss:// for TLS, with user:password@ before the host where it has one, unix:///path, redis+sentinel://host:port?master_name=name, or redis+cluster://host:port")
		case redisurl.Want(c.URL) != "":
			bad("url", maskURL(c.URL), redisurl.Want(c.URL))
		case p.tls != nil:
			if _, err := p.tls.load(); err != nil {
				errs = append(errs, err)
			}
		}
	} else if _, _, err := address.Split(c.Embedded); err != nil {
		bad("embedded", strconv.Quote(c.Embedded), err.Error())
	} else if c.TLS != (TLSConfig{}) {
		bad("url", `""`, "rediss://host:port where redis.tls is given")
	}
	if len(c.Prefix) > 64 || strings.ContainsAny(c.Prefix, "{}|") || strings.ContainsFunc(c.Prefix, notGraphic) {
		bad("prefix", strconv.Quote(c.Prefix), "at most 64 printable ASCII characters without space, { } and |")
	}
	count("connections", c.Connections, 1, 64)
	span("linger", c.Linger, time.Millisecond, 24*time.Hour)
	count("max_lingering", c.MaxLingering, 0, 100_000_000)
	span("probe_interval", c.ProbeInterval, 10*time.Millisecond, time.Minute)
	count("replay_messages", c.ReplayMessages, 1, 1_000_000)
	count("ring.messages", c.Ring.Messages, 1, 65536)
	span("ring.age", c.Ring.Age, time.Millisecond, 24*time.Hour)
	count("ring.total_bytes", c.Ring.TotalBytes, 1, 1<<40)
	count("ring.bytes", c.Ring.Bytes, 1, 1<<30)
	return errors.Join(errs...)
}

func notGraphic(r rune) bool { return r <= ' ' || r > '~' }

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
