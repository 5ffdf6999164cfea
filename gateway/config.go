package gateway

import (
	"io/fs"
	"runtime"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/certs"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// Config holds all settings of the edge. The tags name the keys as the operator writes them, and
// Validate uses the same names. The zero value is not usable: start from DefaultConfig.
type Config struct {
	// Listen is the public address: host:port or unix:/path. It may be empty beside TLS.Listen.
	Listen string `koanf:"listen"`
	// Shards is the number of event loops; 0 means one per CPU.
	Shards int `koanf:"shards"`

	// Origins are the origins of web pages that browsers may connect from; empty means the same
	// host only.
	Origins []string `koanf:"origins"`
	// Channels are rules for channels by their names; the first match counts.
	Channels []ChannelRule `koanf:"channels"`

	Admin     AdminConfig     `koanf:"admin"`
	Auth      auth.Config     `koanf:"auth"`
	Heartbeat HeartbeatConfig `koanf:"heartbeat"`
	Limits    Limits          `koanf:"limits"`
	Proxy     ProxyConfig     `koanf:"proxy"`
	Socket    SocketConfig    `koanf:"socket"`
	WebSocket WebSocketConfig `koanf:"websocket"`
	Drain     DrainConfig     `koanf:"drain"`
	TLS       certs.Config    `koanf:"tls"`
	Debug     DebugConfig     `koanf:"debug"`
	Redis     fanout.Config   `koanf:"redis"`
}

// IOUring selects whether sends to many clients go through io_uring.
type IOUring string

const (
	// IOUringAuto uses it where the kernel offers it and nothing forbids it, as the seccomp profile
	// of a container may.
	IOUringAuto IOUring = "auto"
	// IOUringOff writes to each client with its own system call.
	IOUringOff IOUring = "off"
)

// AdminConfig places the operator's HTTP listener.
type AdminConfig struct {
	// Listen is host:port; empty turns the listener off.
	Listen string `koanf:"listen"`
	// Token is the bearer token for callers; empty admits everyone who can reach the listener,
	// which must be on loopback then.
	Token string `koanf:"token"`
}

// HeartbeatConfig times the pings.
type HeartbeatConfig struct {
	// Interval is the time between two pings to a silent client.
	Interval time.Duration `koanf:"interval"`
	// Timeout is the time after a ping within which the client must be heard from.
	Timeout time.Duration `koanf:"timeout"`
}

// Limits bound the resources that clients can use.
type Limits struct {
	// Connections is the most clients at once; 0 means as many as the process's descriptor limit
	// allows.
	Connections int `koanf:"connections"`
	// ConnectionsPerAddress is the most clients at once from one IPv4 address
	// or one IPv6 /64; 0 is no limit.
	ConnectionsPerAddress int `koanf:"connections_per_address"`
	// AcceptsPerSecond is the rate of accepted connections; 0 is no limit. AcceptsBurst is the
	// number accepted at once after a pause; 0 is one second's worth.
	AcceptsPerSecond int `koanf:"accepts_per_second"`
	AcceptsBurst     int `koanf:"accepts_burst"`
	// HandshakesPerSecond and HandshakesBurst are the same for requests that
	// open a WebSocket or an event stream.
	HandshakesPerSecond int `koanf:"handshakes_per_second"`
	HandshakesBurst     int `koanf:"handshakes_burst"`
	// MessagesPerSecond and MessagesBurst are the same for one client's messages, pings and
	// requests. Here a burst of 0 is ten seconds' worth.
	MessagesPerSecond int `koanf:"messages_per_second"`
	MessagesBurst     int `koanf:"messages_burst"`
	// PublishesPerSecond and PublishesBurst are the same for one client's publishes.
	PublishesPerSecond int `koanf:"publishes_per_second"`
	PublishesBurst     int `koanf:"publishes_burst"`
	// TotalPublishesPerSecond is the rate of publishes of all clients together; 0 is no limit.
	TotalPublishesPerSecond int `koanf:"total_publishes_per_second"`
	// ChannelsPerConnection is the most subscriptions of one client.
	ChannelsPerConnection int `koanf:"channels_per_connection"`
	// NewChannelsPerSecond is the rate at which one client may subscribe to channels without other
	// subscribers, after a burst of four times ChannelsPerConnection; 0 is no limit.
	NewChannelsPerSecond int `koanf:"new_channels_per_second"`
	// TotalSubscriptions and TotalChannels bound all clients together, the channels summed over the
	// shards.
	TotalSubscriptions int `koanf:"total_subscriptions"`
	TotalChannels      int `koanf:"total_channels"`
	// MessageBytes is the largest message accepted from a client.
	MessageBytes int `koanf:"message_bytes"`
	// PayloadBytes is the largest message sent to clients.
	PayloadBytes int `koanf:"payload_bytes"`
	// HeadBytes is the largest request head.
	HeadBytes int `koanf:"head_bytes"`
	// HeadTimeout is the time a client has for its request head.
	HeadTimeout time.Duration `koanf:"head_timeout"`
	// IdleTimeout is how long a kept connection may be silent between two requests: set it longer
	// than a proxy in front keeps connections, or a request of the proxy meets the close.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// QueueBytes bounds the memory of one client's pending output behind the message that is being
	// sent.
	QueueBytes int `koanf:"queue_bytes"`
	// TotalQueueBytes bounds the memory of the pending output of all clients together, a large
	// message counted once.
	TotalQueueBytes int `koanf:"total_queue_bytes"`
	// TotalInputBytes bounds the memory of the incomplete or waiting requests and messages of all
	// clients together.
	TotalInputBytes int `koanf:"total_input_bytes"`
}

// ProxyConfig names the trusted proxies and how they pass on the client's address.
type ProxyConfig struct {
	// Protocol is the version of the PROXY protocol that a trusted proxy begins its connections
	// with: off, v1, v2 or any.
	Protocol string `koanf:"protocol"`
	// Header is the request header in which a trusted proxy names the client.
	Header string `koanf:"header"`
	// Trusted are the proxies' addresses and networks, and "unix" for the
	// peers of a unix socket.
	Trusted []string `koanf:"trusted"`
}

// SocketConfig sets the options of accepted sockets and the way they are written to.
type SocketConfig struct {
	// Backlog is the listen queue; the kernel caps it at net.core.somaxconn.
	Backlog int `koanf:"backlog"`
	// SendBuffer and ReceiveBuffer are SO_SNDBUF and SO_RCVBUF in bytes;
	// 0 leaves the kernel's own sizing.
	SendBuffer    int `koanf:"send_buffer"`
	ReceiveBuffer int `koanf:"receive_buffer"`
	// UserTimeout is TCP_USER_TIMEOUT: how long sent data may stay
	// unacknowledged before the kernel gives the connection up.
	UserTimeout time.Duration `koanf:"user_timeout"`
	// IOUring is how sends to many clients enter the kernel: auto or off.
	IOUring string `koanf:"io_uring"`
	// Mode is the mode of a unix socket's file, in octal.
	Mode string `koanf:"mode"`
}

// fileMode returns Mode, which is valid, as a number.
func (s SocketConfig) fileMode() fs.FileMode {
	mode, _ := strconv.ParseUint(s.Mode, 8, 9)
	return fs.FileMode(mode)
}

// WebSocketConfig configures the WebSocket handshake.
type WebSocketConfig struct {
	// Subprotocols are chosen where a client offers one of them and not pushgate.v1.
	Subprotocols []string `koanf:"subprotocols"`
}

// DrainConfig shapes the shutdown.
type DrainConfig struct {
	// Delay is the time between readiness turning 503 and the listener closing.
	Delay time.Duration `koanf:"delay"`
	// Timeout is the time over which the connections are closed evenly.
	Timeout time.Duration `koanf:"timeout"`
	// Rate is the number of connections closed a second, in place of Timeout; 0 uses Timeout.
	Rate int `koanf:"rate"`
	// Reconnect bounds the random reconnect delay of a client that is rebalanced or drained.
	Reconnect time.Duration `koanf:"reconnect"`
	// MaxAge is how long a connection may last, give or take a tenth; 0 is no limit.
	MaxAge time.Duration `koanf:"max_age"`
}

// DebugConfig turns on features for development only. Everything is off in the zero value.
type DebugConfig struct {
	// Echo offers /debug/echo, a WebSocket that sends messages back.
	Echo bool `koanf:"echo"`
}

// shards returns the number of event loops.
func (c *Config) shards() int {
	if c.Shards == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return c.Shards
}

// DefaultConfig returns the values that configs/gateway.yaml documents.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080",
		Admin:  AdminConfig{Listen: "127.0.0.1:8081"},
		Auth:   auth.DefaultConfig(),
		Heartbeat: HeartbeatConfig{
			Interval: 25 * time.Second,
			Timeout:  10 * time.Second,
		},
		Limits: Limits{
			MessagesPerSecond:     100,
			PublishesPerSecond:    50,
			ChannelsPerConnection: 100,
			NewChannelsPerSecond:  40,
			TotalSubscriptions:    4_000_000,
			TotalChannels:         2_000_000,
			MessageBytes:          64 << 10,
			PayloadBytes:          8 << 20,
			HeadBytes:             16 << 10,
			HeadTimeout:           10 * time.Second,
			IdleTimeout:           75 * time.Second,
			QueueBytes:            256 << 10,
			TotalQueueBytes:       256 << 20,
			TotalInputBytes:       64 << 20,
		},
		Proxy: ProxyConfig{Protocol: string(proxy.Off), Header: string(proxy.XForwardedFor)},
		Socket: SocketConfig{
			Backlog:     65535,
			SendBuffer:  16 << 10,
			UserTimeout: 30 * time.Second,
			IOUring:     string(IOUringAuto),
			Mode:        "0666",
		},
		Drain: DrainConfig{Timeout: 30 * time.Second, Reconnect: 2 * time.Second},
		TLS:   certs.DefaultConfig(),
		Redis: fanout.DefaultConfig(),
	}
}
