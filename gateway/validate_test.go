package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/certs"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := gateway.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

// nginx and AWS's load balancers close after 60 s: silent connections to clients before that, and
// their own idle ones at that.
func TestDefaultsSuitProxies(t *testing.T) {
	const proxies = 60 * time.Second
	c := gateway.DefaultConfig()
	if got := c.Heartbeat.Interval; got >= proxies {
		t.Errorf("the heartbeat is sent every %v", got)
	}
	if gateway.MaxWait >= proxies {
		t.Errorf("a poll may wait for %v", gateway.MaxWait)
	}
	if got := c.Limits.IdleTimeout; got < proxies+10*time.Second {
		t.Errorf("a kept connection is closed after %v, as its proxy sends the next request", got)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *gateway.Config)
		want   string
	}{
		"listen without port": {
			func(c *gateway.Config) { c.Listen = "127.0.0.1" },
			`listen: "127.0.0.1" is not allowed, want host:port, or unix:/path`,
		},
		"listen on a port that does not exist": {
			func(c *gateway.Config) { c.Listen = "127.0.0.1:65536" },
			`listen: "127.0.0.1:65536" is not allowed, want host:port with a port from 0 to 65535, or unix:/path`,
		},
		"listen on a star": {
			func(c *gateway.Config) { c.Listen = "*:8080" },
			`listen: "*:8080" is not allowed, want ":8080", which is every address, or unix:/path`,
		},
		"listen on no address": {
			func(c *gateway.Config) { c.Listen = "127.0.0.256:8080" },
			`listen: "127.0.0.256:8080" is not allowed, want host:port with the name or address of a host`,
		},
		"listen on a URL": {
			func(c *gateway.Config) { c.Listen = "http://127.0.0.1:8080" },
			`listen: "http://127.0.0.1:8080" is not allowed, want host:port, without a scheme or a path`,
		},
		"listen on a socket with a path too long": {
			func(c *gateway.Config) { c.Listen = "unix:/" + strings.Repeat("x", 107) },
			`is not allowed, want a path of at most 107 bytes`,
		},
		"admin where clients connect": {
			func(c *gateway.Config) { c.Admin.Listen, c.Listen = "localhost:8080", "127.0.0.1:8080" },
			`admin.listen: "localhost:8080" is not allowed, want another address than listen, which is 127.0.0.1:8080`,
		},
		"a rule that another has before it": {
			func(c *gateway.Config) {
				c.Channels = []gateway.ChannelRule{{Match: []string{"chat.**", "news"}}, {Match: []string{"chat.a", "chat.*.b", "news"}}}
			},
			`channels[1].match: never counts, because channels[0] is before it`,
		},
		"listen on a relative socket": {
			func(c *gateway.Config) { c.Listen = "unix:gateway.sock" },
			`listen: "unix:gateway.sock" is not allowed, want unix: and an absolute path`,
		},
		"anonymous on every address": {
			func(c *gateway.Config) { c.Listen = ":8080" },
			`listen: ":8080" is not allowed, want a loopback address while auth.mode is none and auth.allow_anonymous is false`,
		},
		"anonymous on a name": {
			func(c *gateway.Config) { c.Listen = "gateway.example:8080" },
			`listen: "gateway.example:8080" is not allowed, want a loopback address while auth.mode is none and auth.allow_anonymous is false`,
		},
		"admin on a network": {
			func(c *gateway.Config) { c.Admin.Listen = "10.0.0.1:8081" },
			`admin.listen: "10.0.0.1:8081" is not allowed, want a loopback address while admin.token is empty`,
		},
		"admin with a token that can be guessed": {
			func(c *gateway.Config) { c.Admin.Listen, c.Admin.Token = ":8081", "fifteen bytes.." },
			`admin.token: a token of 15 bytes is not allowed, want at least 16, or none`,
		},
		"admin with a token that no header holds": {
			func(c *gateway.Config) { c.Admin.Token = "sixteen bytes...\n" },
			`admin.token: a token with white space around it or control characters is not allowed`,
		},
		"admin without port": {
			func(c *gateway.Config) { c.Admin.Listen = "localhost" },
			`admin.listen: "localhost" is not allowed, want host:port, or nothing to turn it off`,
		},
		"unknown mode": {
			func(c *gateway.Config) { c.Auth.Mode = "basic" },
			`auth.mode: "basic" is not allowed, want `,
		},
		"a key without the mode": {
			func(c *gateway.Config) { c.Auth.JWT.JWKSURL = "https://issuer.example/keys" },
			`auth.mode: "none" is not allowed, want jwt where auth.jwt has a key, or auth.allow_anonymous: true`,
		},
		"a burst of what has no rate": {
			func(c *gateway.Config) { c.Limits.HandshakesBurst = 5 },
			"limits.handshakes_burst: 5 is not allowed, want a limits.handshakes_per_second with it",
		},
		"one queue over all": {
			func(c *gateway.Config) { c.Limits.QueueBytes = 512 << 20 },
			"limits.queue_bytes: 536870912 is not allowed, want at most limits.total_queue_bytes, 268435456",
		},
		"a header of proxies that are none": {
			func(c *gateway.Config) { c.Proxy.Header = "X-Real-IP" },
			"proxy.trusted: \"\" is not allowed, want the proxies' addresses while proxy.header is X-Real-IP",
		},
		"negative shards": {
			func(c *gateway.Config) { c.Shards = -1 },
			"shards: -1 is not allowed, want 0 to 64",
		},
		"no heartbeat": {
			func(c *gateway.Config) { c.Heartbeat = gateway.HeartbeatConfig{Timeout: time.Second} },
			"heartbeat.interval: 0s is not allowed, want 100ms to 1h0m0s",
		},
		"timeout after the next ping": {
			func(c *gateway.Config) { c.Heartbeat.Timeout = 26 * time.Second },
			"heartbeat.timeout: 26s is not allowed, want at most heartbeat.interval, which is 25s",
		},
		"tiny head": {
			func(c *gateway.Config) { c.Limits.HeadBytes = 12 },
			"limits.head_bytes: 12 is not allowed, want 1024 to 1048576",
		},
		"tiny buffer": {
			func(c *gateway.Config) { c.Socket.SendBuffer = 1 },
			"socket.send_buffer: 1 is not allowed, want 0 or 2048 to 67108864",
		},
		"a socket's mode in decimal": {
			func(c *gateway.Config) { c.Socket.Mode = "660" },
			`socket.mode: "660" is not allowed, want an octal mode such as "0660", with a right to write`,
		},
		"a socket that nobody can connect to": {
			func(c *gateway.Config) { c.Socket.Mode = "0444" },
			`socket.mode: "0444" is not allowed, want an octal mode`,
		},
		"a socket's mode beyond all rights": {
			func(c *gateway.Config) { c.Socket.Mode = "01666" },
			`socket.mode: "01666" is not allowed, want an octal mode`,
		},
		"TLS for everybody, anonymous": {
			func(c *gateway.Config) { c.TLS.Listen, c.TLS.Certificates = ":8443", make([]certs.Files, 1) },
			`tls.listen: ":8443" is not allowed, want a loopback address while auth.mode is none, auth.allow_anonymous is false and tls.client_ca_file is empty`,
		},
		"no TLS for everybody, with certificates of clients beside": {
			func(c *gateway.Config) {
				c.Listen, c.TLS.Listen, c.TLS.Certificates, c.TLS.ClientCAFile = ":8080", ":8443", make([]certs.Files, 1), "ca.pem"
			},
			`listen: ":8080" is not allowed, want a loopback address while auth.mode is none and auth.allow_anonymous is false`,
		},
		"pages of everybody with the certificates of clients": {
			func(c *gateway.Config) {
				c.TLS.SelfSigned, c.TLS.ClientCAFile, c.Origins = true, "ca.pem", []string{"https://app.example.com", "*"}
			},
			`origins: "*" is not allowed, want origins without a wildcard, and not null, while tls.client_ca_file is set, auth.mode is none and auth.allow_anonymous is false`,
		},
		"pages below a host with the certificates of clients": {
			func(c *gateway.Config) {
				c.TLS.SelfSigned, c.TLS.ClientCAFile, c.Origins = true, "ca.pem", []string{"https://*.example.com"}
			},
			`origins: "https://*.example.com" is not allowed, want origins without a wildcard`,
		},
		"sandboxed pages with the certificates of clients": {
			func(c *gateway.Config) {
				c.TLS.SelfSigned, c.TLS.ClientCAFile, c.Origins = true, "ca.pem", []string{"null"}
			},
			`origins: "null" is not allowed, want origins without a wildcard`,
		},
		"TLS without a certificate": {
			func(c *gateway.Config) { c.TLS.Listen = "127.0.0.1:8443" },
			`tls.certificates: missing, want a certificate for tls.listen`,
		},
		"TLS where plain clients connect": {
			func(c *gateway.Config) { c.TLS.Listen, c.TLS.SelfSigned = "localhost:8080", true },
			`tls.listen: "localhost:8080" is not allowed, want another address than listen, which is 127.0.0.1:8080`,
		},
		"TLS where the operator connects": {
			func(c *gateway.Config) { c.Admin.Listen, c.TLS.SelfSigned = "127.0.0.1:8443", true },
			`tls.listen: "127.0.0.1:8443" is not allowed, want another address than admin.listen, which is 127.0.0.1:8443`,
		},
		"TLS where Redis listens": {
			func(c *gateway.Config) { c.Redis.Embedded, c.TLS.SelfSigned = "127.0.0.1:8443", true },
			`redis.embedded: "127.0.0.1:8443" is not allowed, want another address than tls.listen, which is 127.0.0.1:8443`,
		},
		"no listener": {
			func(c *gateway.Config) { c.Listen = "" },
			`listen: "" is not allowed, want host:port, or unix:/path`,
		},
		"endless drain": {
			func(c *gateway.Config) { c.Drain.Timeout = 24 * time.Hour },
			"drain.timeout: 24h0m0s is not allowed, want 0s to 1h0m0s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := gateway.DefaultConfig()
			test.change(&c)
			err := c.Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			var bad *gateway.ConfigError
			if !errors.As(err, &bad) && !strings.HasPrefix(test.want, "channels[") {
				t.Fatalf("%T holds no *ConfigError", err)
			}
		})
	}
}

func TestValidateAllows(t *testing.T) {
	for name, change := range map[string]func(c *gateway.Config){
		"every address, anonymous on purpose":     func(c *gateway.Config) { c.Listen, c.Auth.AllowAnonymous = ":8080", true },
		"a key that is not asked for, on purpose": func(c *gateway.Config) { c.Auth.JWT.Secret, c.Auth.AllowAnonymous = strings.Repeat("s", 32), true },
		"IPv6 loopback":                    func(c *gateway.Config) { c.Listen = "[::1]:0" },
		"mapped loopback":                  func(c *gateway.Config) { c.Listen = "[::ffff:127.0.0.1]:0" },
		"second loopback address":          func(c *gateway.Config) { c.Listen = "127.0.0.2:8080" },
		"localhost":                        func(c *gateway.Config) { c.Listen = "localhost:8080" },
		"socket file":                      func(c *gateway.Config) { c.Listen = "unix:/run/gateway.sock" },
		"admin on a network, with a token": func(c *gateway.Config) { c.Admin.Listen, c.Admin.Token = ":8081", "sixteen bytes..." },
		"a rule that counts for a part": func(c *gateway.Config) {
			c.Channels = []gateway.ChannelRule{{Match: []string{"chat.a"}}, {Match: []string{"chat.*", "chat.a"}}, {Match: []string{"**"}}}
		},
		"no admin":       func(c *gateway.Config) { c.Admin.Listen = "" },
		"kernel buffers": func(c *gateway.Config) { c.Socket.SendBuffer, c.Socket.ReceiveBuffer = 0, 0 },
		"TLS alone":      func(c *gateway.Config) { c.Listen, c.TLS.SelfSigned = "", true },
		"TLS beside":     func(c *gateway.Config) { c.TLS.Listen, c.TLS.SelfSigned = "[::1]:0", true },
		"TLS for everybody, with certificates of clients": func(c *gateway.Config) {
			c.TLS.Listen, c.TLS.Certificates, c.TLS.ClientCAFile = ":8443", []certs.Files{{CertFile: "cert.pem", KeyFile: "key.pem"}}, "ca.pem"
		},
		"named pages with the certificates of clients": func(c *gateway.Config) {
			c.TLS.SelfSigned, c.TLS.ClientCAFile, c.Origins = true, "ca.pem", []string{"https://app.example.com", "file://"}
		},
		"pages of everybody with certificates and tokens": func(c *gateway.Config) {
			c.TLS.SelfSigned, c.TLS.ClientCAFile, c.Origins = true, "ca.pem", []string{"*"}
			c.Auth.Mode, c.Auth.JWT.Secret = "jwt", strings.Repeat("s", 32)
		},
		"pages of everybody with certificates, anonymous on purpose": func(c *gateway.Config) {
			c.TLS.SelfSigned, c.TLS.ClientCAFile, c.Origins, c.Auth.AllowAnonymous = true, "ca.pem", []string{"*"}, true
		},
		"pages of everybody without certificates": func(c *gateway.Config) { c.TLS.SelfSigned, c.Origins = true, []string{"*"} },
		"no drain": func(c *gateway.Config) { c.Drain = gateway.DrainConfig{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := gateway.DefaultConfig()
			change(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// One run of the program must show the operator everything.
func TestValidateReportsAllAtOnce(t *testing.T) {
	err := gateway.Config{}.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T does not join its errors", err)
	}
	keys := map[string]bool{}
	for _, one := range joined.Unwrap() {
		bad, ok := one.(*gateway.ConfigError)
		if !ok {
			t.Fatalf("%v is a %T, want *ConfigError", one, one)
		}
		keys[bad.Key] = true
	}
	for _, key := range []string{"listen", "auth.mode", "heartbeat.interval", "limits.head_bytes", "socket.backlog"} {
		if !keys[key] {
			t.Errorf("%s is not among the errors:\n%v", key, err)
		}
	}
}
