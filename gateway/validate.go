package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/internal/address"
	"github.com/pushgate/pushgate/internal/configerror"
)

// ConfigError is one key with an invalid value: its Key as in the configuration file, its
// Value, empty if it is missing, and the allowed values, Want.
type ConfigError = configerror.Error

func configError(key string, value any, want string) error {
	text := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		text = strconv.Quote(s)
	}
	return &ConfigError{Key: key, Value: text, Want: want}
}

// flat joins errors, splitting joined ones.
func flat(errs ...error) error {
	var all []error
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(all, joined.Unwrap()...)
		} else {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Validate reports every invalid value at once: the error joins one *ConfigError for each. A new
// key gets its line here. It reads the files with token keys; New reads the certificates too.
func (c Config) Validate() error {
	return flat(
		c.validateListen(),
		between("shards", c.Shards, 0, fanout.MaxSinks),
		c.validateAdmin(),
		c.validateOrigins(),
		validateRules(c.Channels),
		c.Auth.Validate(),
		c.validateAnonymous(),

		between("heartbeat.interval", c.Heartbeat.Interval, 100*time.Millisecond, time.Hour),
		between("heartbeat.timeout", c.Heartbeat.Timeout, 100*time.Millisecond, time.Hour),
		c.validateHeartbeat(),

		between("limits.connections", c.Limits.Connections, 0, 1<<24),
		between("limits.connections_per_address", c.Limits.ConnectionsPerAddress, 0, 1<<24),
		between("limits.accepts_per_second", c.Limits.AcceptsPerSecond, 0, 1<<20),
		validateBurst("limits.accepts", c.Limits.AcceptsPerSecond, c.Limits.AcceptsBurst, 1<<20),
		between("limits.handshakes_per_second", c.Limits.HandshakesPerSecond, 0, 1<<20),
		validateBurst("limits.handshakes", c.Limits.HandshakesPerSecond, c.Limits.HandshakesBurst, 1<<20),
		between("limits.messages_per_second", c.Limits.MessagesPerSecond, 0, 1000),
		validateBurst("limits.messages", c.Limits.MessagesPerSecond, c.Limits.MessagesBurst, 1<<16),
		between("limits.publishes_per_second", c.Limits.PublishesPerSecond, 0, 1000),
		validateBurst("limits.publishes", c.Limits.PublishesPerSecond, c.Limits.PublishesBurst, 1<<16),
		between("limits.total_publishes_per_second", c.Limits.TotalPublishesPerSecond, 0, 1<<20),
		between("limits.channels_per_connection", c.Limits.ChannelsPerConnection, 1, message.MaxCursorChannels),
		between("limits.new_channels_per_second", c.Limits.NewChannelsPerSecond, 0, 1000),
		between("limits.total_subscriptions", c.Limits.TotalSubscriptions, 1, 1<<30),
		between("limits.total_channels", c.Limits.TotalChannels, 1, 1<<30),
		between("limits.message_bytes", c.Limits.MessageBytes, 1, 16<<20),
		between("limits.payload_bytes", c.Limits.PayloadBytes, 1<<10, 512<<20),
		between("limits.head_bytes", c.Limits.HeadBytes, 1<<10, 1<<20),
		between("limits.head_timeout", c.Limits.HeadTimeout, 100*time.Millisecond, 5*time.Minute),
		between("limits.idle_timeout", c.Limits.IdleTimeout, 100*time.Millisecond, time.Hour),
		between("limits.total_queue_bytes", c.Limits.TotalQueueBytes, 1<<20, 1<<40),
		c.validateInputs(),
		c.validateQueues(),

		c.validateProxy(),

		between("socket.backlog", c.Socket.Backlog, 1, 1<<20),
		zeroOrBetween("socket.send_buffer", c.Socket.SendBuffer, 2<<10, 64<<20),
		zeroOrBetween("socket.receive_buffer", c.Socket.ReceiveBuffer, 2<<10, 64<<20),
		between("socket.user_timeout", c.Socket.UserTimeout, 0, time.Hour),
		oneOf("socket.io_uring", c.Socket.IOUring, string(IOUringAuto), string(IOUringOff)),
		c.validateMode(),
		c.validateSubprotocols(),
		c.validateTLS(),

		between("drain.delay", c.Drain.Delay, 0, 10*time.Minute),
		between("drain.timeout", c.Drain.Timeout, 0, time.Hour),
		between("drain.rate", c.Drain.Rate, 0, 1<<24),
		between("drain.reconnect", c.Drain.Reconnect, 0, time.Hour),
		zeroOrBetween("drain.max_age", c.Drain.MaxAge, time.Second, 30*24*time.Hour),

		c.Redis.Validate(),
		c.validateEmbedded(),
	)
}

// validateListen prevents a gateway without authentication from listening on a network by accident.
// There may be the TLS listener alone.
func (c Config) validateListen() error {
	const key = "listen"
	if c.Listen == "" && c.TLS.Address() != "" {
		return nil
	}
	if path, ok := strings.CutPrefix(c.Listen, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return configError(key, c.Listen, "unix: and an absolute path")
		}
		if len(path) > maxSocketPath {
			return configError(key, c.Listen, fmt.Sprintf("a path of at most %d bytes", maxSocketPath))
		}
		return nil
	}
	host, _, err := address.Split(c.Listen)
	if err != nil {
		return configError(key, c.Listen, err.Error()+", or unix:/path")
	}
	if c.isOpen(host) {
		return configError(key, c.Listen, "a loopback address while auth.mode is none and auth.allow_anonymous is false")
	}
	return nil
}

// isOpen reports whether others than this machine would be served at a host without a token.
func (c Config) isOpen(host string) bool {
	return c.Auth.Mode == auth.ModeNone && !c.Auth.AllowAnonymous && !address.IsLoopback(host)
}

// validateTLS does the same for the TLS listener, where certificates of clients are as good as tokens,
// and keeps it off the other ones' addresses. The rest is the section's own.
func (c Config) validateTLS() error {
	const key = "tls.listen"
	addr := c.TLS.Address()
	host, _, err := address.Split(addr)
	if addr == "" || err != nil {
		return c.TLS.Validate()
	}
	for _, other := range []struct{ key, addr string }{{"listen", c.Listen}, {"admin.listen", c.Admin.Listen}} {
		if address.Overlap(addr, other.addr) {
			return flat(c.TLS.Validate(), configError(key, addr, "another address than "+other.key+", which is "+other.addr))
		}
	}
	if c.isOpen(host) && c.TLS.ClientCAFile == "" {
		return flat(c.TLS.Validate(), configError(key, addr,
			"a loopback address while auth.mode is none, auth.allow_anonymous is false and tls.client_ca_file is empty"))
	}
	return c.TLS.Validate()
}

// validateAnonymous prevents a gateway with keys from being open because the mode is missing.
func (c Config) validateAnonymous() error {
	if c.Auth.Mode != auth.ModeNone || c.Auth.AllowAnonymous || !c.Auth.JWT.HasKey() {
		return nil
	}
	return configError("auth.mode", c.Auth.Mode, "jwt where auth.jwt has a key, or auth.allow_anonymous: true")
}

// validateQueues keeps one client's bound within the total.
func (c Config) validateQueues() error {
	const key = "limits.queue_bytes"
	if l := c.Limits; l.TotalQueueBytes >= 1<<20 && l.QueueBytes > l.TotalQueueBytes {
		return configError(key, l.QueueBytes, fmt.Sprintf("at most limits.total_queue_bytes, %d", l.TotalQueueBytes))
	}
	return between(key, c.Limits.QueueBytes, 1<<10, 1<<30)
}

// validateInputs keeps one client's message within the total.
func (c Config) validateInputs() error {
	const key = "limits.total_input_bytes"
	if l := c.Limits; l.MessageBytes <= 16<<20 && l.TotalInputBytes >= 1<<20 && l.TotalInputBytes/4 < l.MessageBytes {
		return configError(key, l.TotalInputBytes, fmt.Sprintf("at least four times limits.message_bytes, %d", l.MessageBytes))
	}
	return between(key, c.Limits.TotalInputBytes, 1<<20, 1<<40)
}

// validateBurst refuses a burst whose rate is missing: it would limit nothing.
func validateBurst(key string, rate, burst, most int) error {
	if rate == 0 && burst > 0 {
		return configError(key+"_burst", burst, "a "+key+"_per_second with it")
	}
	return between(key+"_burst", burst, 0, most)
}

// maxSocketPath is the longest path of a Unix socket, on Linux.
const maxSocketPath = 107

// minAdminToken is the length from which a token can't be guessed over a network.
const minAdminToken = 16

// validateAdmin keeps the admin API on this machine, or behind a token.
func (c Config) validateAdmin() error {
	const key = "admin.listen"
	if n := len(c.Admin.Token); n > 0 && n < minAdminToken {
		// The value stays out of the error: it is a secret.
		return &ConfigError{Key: "admin.token", Value: fmt.Sprintf("a token of %d bytes", n), Want: fmt.Sprintf("at least %d, or none", minAdminToken)}
	}
	if t := c.Admin.Token; strings.TrimSpace(t) != t || strings.ContainsFunc(t, unicode.IsControl) {
		return &ConfigError{Key: "admin.token", Value: "a token with white space around it or control characters", Want: "one that a request's header can hold"}
	}
	if c.Admin.Listen == "" {
		return nil
	}
	host, _, err := address.Split(c.Admin.Listen)
	if err != nil {
		return configError(key, c.Admin.Listen, err.Error()+", or nothing to turn it off")
	}
	if address.Overlap(c.Admin.Listen, c.Listen) {
		return configError(key, c.Admin.Listen, "another address than listen, which is "+c.Listen)
	}
	if c.Admin.Token == "" && !address.IsLoopback(host) {
		return configError(key, c.Admin.Listen, "a loopback address while admin.token is empty")
	}
	return nil
}

// validateProxy requires trusted proxies for the PROXY protocol, which would be ignored without.
func (c Config) validateProxy() error {
	var errs []error
	if err := oneOf("proxy.protocol", c.Proxy.Protocol, proxy.Protocols...); err != nil {
		errs = append(errs, err)
	} else if c.Proxy.Protocol != string(proxy.Off) && len(c.Proxy.Trusted) == 0 {
		errs = append(errs, configError("proxy.trusted", "", "the proxies' addresses while proxy.protocol is "+c.Proxy.Protocol))
	}
	if err := oneOf("proxy.header", strings.ToLower(c.Proxy.Header), proxy.Headers...); err != nil {
		errs = append(errs, err)
	} else if !strings.EqualFold(c.Proxy.Header, DefaultConfig().Proxy.Header) && len(c.Proxy.Trusted) == 0 {
		errs = append(errs, configError("proxy.trusted", "", "the proxies' addresses while proxy.header is "+c.Proxy.Header))
	}
	for _, item := range c.Proxy.Trusted {
		if _, err := proxy.ParseNetworks([]string{item}); err != nil {
			errs = append(errs, configError("proxy.trusted", item, "an address, a network such as 10.0.0.0/8, or unix"))
		}
	}
	return errors.Join(errs...)
}

// validateMode requires an octal mode, marked as such, that lets somebody write.
func (c Config) validateMode() error {
	mode, err := strconv.ParseUint(c.Socket.Mode, 8, 9)
	if err != nil || !strings.HasPrefix(c.Socket.Mode, "0") || mode&0o222 == 0 {
		return configError("socket.mode", c.Socket.Mode, `an octal mode such as "0660", with a right to write`)
	}
	return nil
}

// validateHeartbeat ensures that a client never owes two pongs at once.
func (c Config) validateHeartbeat() error {
	if c.Heartbeat.Timeout <= c.Heartbeat.Interval {
		return nil
	}
	return configError("heartbeat.timeout", c.Heartbeat.Timeout,
		fmt.Sprintf("at most heartbeat.interval, which is %v", c.Heartbeat.Interval))
}

// between requires least to most, inclusive.
func between[T cmp.Ordered](key string, v, least, most T) error {
	if v < least || v > most {
		return configError(key, v, fmt.Sprintf("%v to %v", least, most))
	}
	return nil
}

// zeroOrBetween also allows 0, for a default chosen elsewhere.
func zeroOrBetween[T cmp.Ordered](key string, v, least, most T) error {
	var zero T
	if v != zero && (v < least || v > most) {
		return configError(key, v, fmt.Sprintf("0 or %v to %v", least, most))
	}
	return nil
}

func oneOf(key, v string, allowed ...string) error {
	for _, a := range allowed {
		if v == a {
			return nil
		}
	}
	return configError(key, v, strings.Join(allowed, " or "))
}

// validateOrigins also requires origins by name where a certificate is all that clients need: a browser
// presents its user's to the gateway whichever page connects, as it would send a cookie.
func (c Config) validateOrigins() error {
	origins, err := auth.NewOrigins(c.Origins)
	if err != nil || c.Auth.Mode != auth.ModeNone || c.Auth.AllowAnonymous || c.TLS.ClientCAFile == "" {
		return err
	}
	var errs []error
	for _, pattern := range origins.Unnamed() {
		errs = append(errs, configError("origins", pattern, "origins without a wildcard, and not null, while tls.client_ca_file is set, auth.mode is none and auth.allow_anonymous is false"))
	}
	return errors.Join(errs...)
}

func validateRules(list []ChannelRule) error {
	_, err := compileRules(list)
	return err
}

// validateEmbedded keeps the embedded Redis off the gateway's own addresses.
func (c Config) validateEmbedded() error {
	for _, other := range []struct{ key, addr string }{{"listen", c.Listen}, {"tls.listen", c.TLS.Address()}, {"admin.listen", c.Admin.Listen}} {
		if c.Redis.URL == "" && address.Overlap(c.Redis.Embedded, other.addr) {
			return configError("redis.embedded", c.Redis.Embedded, "another address than "+other.key+", which is "+other.addr)
		}
	}
	return nil
}

// validateSubprotocols requires tokens (RFC 6455, 4.1).
func (c Config) validateSubprotocols() error {
	for _, name := range c.WebSocket.Subprotocols {
		if name == "" || strings.Contains(name, ",") || !http1.IsTokenList([]byte(name)) || protocol.IsToken(name) {
			return configError("websocket.subprotocols", name, "names without spaces and separators, none of which begins with bearer.")
		}
	}
	return nil
}
