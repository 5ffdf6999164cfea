package gateway

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *Config)
		want   string
	}{
		"listen without port": {
			func(c *Config) { c.Listen = "127.0.0.1" },
			`listen: "127.0.0.1" is not allowed, want host:port or unix:/path`,
		},
		"listen on a port that does not exist": {
			func(c *Config) { c.Listen = "127.0.0.1:65536" },
			`listen: "127.0.0.1:65536" is not allowed, want host:port or unix:/path`,
		},
		"listen on a relative socket": {
			func(c *Config) { c.Listen = "unix:gateway.sock" },
			`listen: "unix:gateway.sock" is not allowed, want unix: and an absolute path`,
		},
		"anonymous on every address": {
			func(c *Config) { c.Listen = ":8080" },
			`listen: ":8080" is not allowed, want a loopback address while auth.mode is none and auth.allow_anonymous is false`,
		},
		"anonymous on a name": {
			func(c *Config) { c.Listen = "gateway.example:8080" },
			`listen: "gateway.example:8080" is not allowed, want a loopback address while auth.mode is none and auth.allow_anonymous is false`,
		},
		"admin on a network": {
			func(c *Config) { c.Admin.Listen = "10.0.0.1:8081" },
			`admin.listen: "10.0.0.1:8081" is not allowed, want a loopback address while admin.token is empty`,
		},
		"admin with a token that can be guessed": {
			func(c *Config) { c.Admin.Listen, c.Admin.Token = ":8081", "fifteen bytes.." },
			`admin.token: a token of 15 bytes is not allowed, want at least 16, or none`,
		},
		"admin without port": {
			func(c *Config) { c.Admin.Listen = "localhost" },
			`admin.listen: "localhost" is not allowed, want host:port, or nothing to turn it off`,
		},
		"unknown mode": {
			func(c *Config) { c.Auth.Mode = "basic" },
			`auth.mode: "basic" is not allowed, want `,
		},
		"negative shards": {
			func(c *Config) { c.Shards = -1 },
			"shards: -1 is not allowed, want 0 to 64",
		},
		"no heartbeat": {
			func(c *Config) { c.Heartbeat = HeartbeatConfig{Timeout: time.Second} },
			"heartbeat.interval: 0s is not allowed, want 100ms to 1h0m0s",
		},
		"timeout after the next ping": {
			func(c *Config) { c.Heartbeat.Timeout = 26 * time.Second },
			"heartbeat.timeout: 26s is not allowed, want at most heartbeat.interval, which is 25s",
		},
		"tiny head": {
			func(c *Config) { c.Limits.HeadBytes = 12 },
			"limits.head_bytes: 12 is not allowed, want 1024 to 1048576",
		},
		"tiny buffer": {
			func(c *Config) { c.Socket.SendBuffer = 1 },
			"socket.send_buffer: 1 is not allowed, want 0 or 2048 to 67108864",
		},
		"a socket's mode in decimal": {
			func(c *Config) { c.Socket.Mode = "660" },
			`socket.mode: "660" is not allowed, want an octal mode such as "0660", with a right to write`,
		},
		"a socket that nobody can connect to": {
			func(c *Config) { c.Socket.Mode = "0444" },
			`socket.mode: "0444" is not allowed, want an octal mode`,
		},
		"a socket's mode beyond all rights": {
			func(c *Config) { c.Socket.Mode = "01666" },
			`socket.mode: "01666" is not allowed, want an octal mode`,
		},
		"endless drain": {
			func(c *Config) { c.Drain.Timeout = 24 * time.Hour },
			"drain.timeout: 24h0m0s is not allowed, want 0s to 1h0m0s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			test.change(&c)
			err := c.Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			var bad *ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("%T holds no *ConfigError", err)
			}
		})
	}
}

func TestValidateAllows(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"every address, anonymous on purpose": func(c *Config) { c.Listen, c.Auth.AllowAnonymous = ":8080", true },
		"IPv6 loopback":                       func(c *Config) { c.Listen = "[::1]:0" },
		"mapped loopback":                     func(c *Config) { c.Listen = "[::ffff:127.0.0.1]:0" },
		"second loopback address":             func(c *Config) { c.Listen = "127.0.0.2:8080" },
		"localhost":                           func(c *Config) { c.Listen = "localhost:8080" },
		"socket file":                         func(c *Config) { c.Listen = "unix:/run/gateway.sock" },
		"admin on a network, with a token":    func(c *Config) { c.Admin.Listen, c.Admin.Token = ":8081", "sixteen bytes..." },
		"no admin":                            func(c *Config) { c.Admin.Listen = "" },
		"kernel buffers":                      func(c *Config) { c.Socket.SendBuffer, c.Socket.ReceiveBuffer = 0, 0 },
		"no drain":                            func(c *Config) { c.Drain = DrainConfig{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			change(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// One run of the program must show the operator everything.
func TestValidateReportsAllAtOnce(t *testing.T) {
	err := Config{}.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T does not join its errors", err)
	}
	keys := map[string]bool{}
	for _, one := range joined.Unwrap() {
		bad, ok := one.(*ConfigError)
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
