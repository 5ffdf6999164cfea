package fanout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/internal/address"
	"github.com/pushgate/pushgate/internal/configerror"
)

// Config is the settings of a broker. The tags name the keys under "redis" as the
// operator writes them. The zero value is not usable: start from DefaultConfig.
type Config struct {
	// URL is redis://, rediss:// or unix://; empty starts an embedded server.
	URL string `koanf:"url"`
	// Prefix stands before every channel name in Redis.
	Prefix string `koanf:"prefix"`
	// Embedded is where the embedded server listens, host:port.
	Embedded string `koanf:"embedded"`
	// Connections is the number of pub/sub connections; a channel is always on the same
	// one, which keeps its order.
	Connections int `koanf:"connections"`
	// Linger is how long a channel stays subscribed after its last local subscriber left.
	Linger time.Duration `koanf:"linger"`
	// MaxLingering is the most channels that do so, an equal part of them on each connection;
	// the ones left first go. 0: none stays.
	MaxLingering int `koanf:"max_lingering"`
	// ProbeInterval is the time between two liveness probes on each connection; three
	// missed probes mean that Redis is down.
	ProbeInterval time.Duration `koanf:"probe_interval"`
	// ReplayMessages is the most messages that one catch-up reads from a channel's
	// stream. A client further behind gets the newest ones, after a gap.
	ReplayMessages int `koanf:"replay_messages"`

	TLS  TLSConfig  `koanf:"tls"`
	Ring RingConfig `koanf:"ring"`
}

// TLSConfig is the settings for a URL with rediss://. The URL's parameters of the same
// names take precedence. The files are read for each connection, so that renewed ones are
// in force from the next one on.
type TLSConfig struct {
	// CAFile holds the certificates, in PEM, of the authorities that the servers' are
	// held against; empty takes the system's.
	CAFile string `koanf:"ca_file"`
	// CertFile and KeyFile hold the gateway's own certificate, for servers that ask for
	// one, and its private key, in PEM.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
	// ServerName is the name that the servers' certificates must have; empty stands for
	// the host of the URL, or the one under which a server is reached.
	ServerName string `koanf:"server_name"`
}

// RingConfig bounds the recent messages that are kept in memory for returning clients. A
// message no longer in the ring is a gap, or is read from the stream if it was durable. A
// message counts the memory that it takes: 160 bytes, its payload, and each form in which it
// has been encoded.
type RingConfig struct {
	// Messages is the most kept for one channel.
	Messages int `koanf:"messages"`
	// Bytes is the most kept for one channel; its newest message always is.
	Bytes int `koanf:"bytes"`
	// Age is how long after a channel's last message its ring is kept.
	Age time.Duration `koanf:"age"`
	// TotalBytes is the most kept for all channels together, an equal part of it on each
	// connection, with 176 bytes for each ring and its table; the channel silent for
	// longest goes first.
	TotalBytes int `koanf:"total_bytes"`
}

// DefaultConfig returns the values that configs/gateway.yaml documents.
func DefaultConfig() Config {
	return Config{
		Prefix:         "push:",
		Embedded:       "127.0.0.1:6380",
		Connections:    2,
		Linger:         60 * time.Second,
		MaxLingering:   100_000,
		ProbeInterval:  time.Second,
		ReplayMessages: 1000,
		Ring: RingConfig{
			Messages:   128,
			Bytes:      256 << 10,
			Age:        60 * time.Second,
			TotalBytes: 64 << 20,
		},
	}
}

// ConfigError is one key with a value that can't be used: its Key as in the configuration file,
// its Value, empty if it is missing, and the allowed values, Want.
type ConfigError = configerror.Error

// Validate reports everything that is wrong with c at once: an errors.Join of one
// *ConfigError per key, or nil. It reads the files of TLS.
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
	switch _, _, err := address.Split(c.Embedded); {
	case c.URL != "":
		upstream.Validate(c.URL, upstream.TLS(c.TLS), bad)
	case err != nil:
		bad("embedded", strconv.Quote(c.Embedded), err.Error())
	case c.TLS != TLSConfig{}:
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
