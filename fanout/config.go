package fanout

import "time"

// Config is what the broker can be told. The tags name the keys under "redis"
// as the operator writes them. The zero value is not usable: start from
// DefaultConfig.
type Config struct {
	// URL is redis://, rediss:// or unix://; empty starts an embedded server.
	URL string `koanf:"url"`
	// Prefix stands before every channel name in Redis.
	Prefix string `koanf:"prefix"`
	// Embedded is where the embedded server listens, host:port.
	Embedded string `koanf:"embedded"`
	// Connections is the number of pub/sub connections; a channel is always
	// on the same one, which keeps its order.
	Connections int `koanf:"connections"`
	// Linger is how long a channel stays subscribed after its last local
	// subscriber left.
	Linger time.Duration `koanf:"linger"`
	// ProbeInterval is the time between two liveness probes on each
	// connection; three missed probes mean that Redis is down.
	ProbeInterval time.Duration `koanf:"probe_interval"`
}

// DefaultConfig returns the values that configs/gateway.yaml documents.
func DefaultConfig() Config {
	return Config{
		Prefix:        "push:",
		Embedded:      "127.0.0.1:6380",
		Connections:   2,
		Linger:        60 * time.Second,
		ProbeInterval: time.Second,
	}
}
