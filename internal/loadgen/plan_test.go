package loadgen

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var testLimits = hostLimits{descriptors: 20000, ports: 28232}

func TestPlanRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(c *Config)
		limits hostLimits
		want   []string
	}{
		"no clients":       {func(c *Config) { c.Connections = 0 }, testLimits, []string{"-n 0: not allowed, want 1 to"}},
		"several at once":  {func(c *Config) { c.InFlight = 0; c.Size = 5; c.Transport = "tcp" }, testLimits, []string{"-c 0", "--size 5", "--transport tcp"}},
		"negative rate":    {func(c *Config) { c.Rate = -1; c.ConnectRate = 1e9 }, testLimits, []string{"--rate -1", "--connect-rate 1e+09"}},
		"no time":          {func(c *Config) { c.Timeout = time.Millisecond }, testLimits, []string{"--timeout 1ms"}},
		"not a URL":        {func(c *Config) { c.URL = "8080" }, testLimits, []string{"--url", "want a URL such as"}},
		"wrong scheme":     {func(c *Config) { c.URL = "redis://127.0.0.1" }, testLimits, []string{"--url", `scheme "redis"`}},
		"no TLS":           {func(c *Config) { c.Insecure = true }, testLimits, []string{"--insecure: only wss://"}},
		"no TLS for a CA":  {func(c *Config) { c.CA = "x" }, testLimits, []string{"--ca x: only wss://"}},
		"no CA":            {func(c *Config) { c.URL, c.CA = "wss://127.0.0.1", "/nothing" }, testLimits, []string{"--ca /nothing: can't be read"}},
		"not a CA":         {func(c *Config) { c.URL, c.CA = "wss://127.0.0.1", "plan_test.go" }, testLimits, []string{"holds no certificate"}},
		"CA for nothing":   {func(c *Config) { c.URL, c.CA, c.Insecure = "wss://127.0.0.1", "x", true }, testLimits, []string{"leave out --ca"}},
		"TLS elsewhere":    {func(c *Config) { c.URL = "wss://192.0.2.1" }, testLimits, []string{"192.0.2.1 is not on this host"}},
		"port":             {func(c *Config) { c.URL = "ws://127.0.0.1:0" }, testLimits, []string{"want 1 to 65535"}},
		"remote":           {func(c *Config) { c.URL = "ws://192.0.2.1" }, testLimits, []string{"192.0.2.1 is not on this host", "--allow-remote"}},
		"channels":         {func(c *Config) { c.Channels = "a b" }, testLimits, []string{"--channels"}},
		"sources":          {func(c *Config) { c.Sources = "x" }, testLimits, []string{"--src"}},
		"other family":     {func(c *Config) { c.Sources = "::1" }, testLimits, []string{"--src ::1", "other address family"}},
		"not loopback":     {func(c *Config) { c.Sources = "192.0.2.7" }, testLimits, []string{"loopback addresses reach only each other"}},
		"descriptors":      {func(c *Config) { c.Connections = 20000 }, testLimits, []string{"-n 20000: needs 20064 descriptors", "at most 19936"}},
		"ports":            {func(c *Config) { c.Connections = 60000; c.Sources = "127.0.0.2" }, hostLimits{1 << 20, 28232}, []string{"1 source address(es) with 28232 ports each", "name 3 with --src"}},
		"socket":           {func(c *Config) { c.URL = "unix:run/gateway.sock" }, testLimits, []string{"--url", "unix:/run/gateway.sock"}},
		"socket's path":    {func(c *Config) { c.URL = "unix:/run/gateway.sock:v1" }, testLimits, []string{"--url", "unix:/run/gateway.sock"}},
		"ports of ::1":     {func(c *Config) { c.Connections = 60000; c.URL = "ws://[::1]:8080" }, hostLimits{1 << 20, 28232}, []string{"1 source address(es)"}},
		"negative process": {func(c *Config) { c.PID = -1 }, testLimits, []string{"--pid -1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			_, err := newPlan(t.Context(), c, tt.limits)
			if err == nil {
				t.Fatal("accepted")
			}
			if usage := (*UsageError)(nil); !errors.As(err, &usage) {
				t.Errorf("%v is no usage error", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q doesn't say %q", err, want)
				}
			}
		})
	}
}

func TestPlan(t *testing.T) {
	c := DefaultConfig()
	c.URL, c.Connections = "http://localhost:8080/push?v=1", 60000
	p, err := newPlan(t.Context(), c, hostLimits{1 << 20, 28232})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.path(0); got != "/push?v=1&" {
		t.Errorf("path %q", got)
	}
	if !p.target.isLocal() {
		t.Errorf("localhost is %v", &p.target)
	}
	if len(p.sources.four) != 7 {
		t.Errorf("sources %v, want seven for 60000 clients", p.sources)
	}
	if len(p.run) != runLength {
		t.Errorf("run id %q", p.run)
	}
	for transport, want := range map[Transport]string{WebSocket: "/v1/ws?", SSE: "/v1/sse?", Poll: "/v1/poll?"} {
		c := DefaultConfig()
		c.Transport = transport
		p, err := newPlan(t.Context(), c, testLimits)
		if err != nil {
			t.Fatal(err)
		}
		if p.path(0) != want || p.target.String() != "127.0.0.1:8080" {
			t.Errorf("%s: %+v", transport, p.target)
		}
	}
}

func TestCheckRedis(t *testing.T) {
	tests := map[string]struct {
		url    string
		remote bool
		want   string
	}{
		"loopback":       {"redis://:secret@127.0.0.1:6379/0", false, ""},
		"socket":         {"unix:///run/redis.sock", false, ""},
		"remote":         {"redis://192.0.2.1:6379", false, "not on this host"},
		"remote allowed": {"redis://192.0.2.1:6379", true, ""},
		"scheme":         {"http://:secret@127.0.0.1", false, "want the gateway's redis.url"},
		"cluster":        {"redis+cluster://:secret@127.0.0.1:7000?addr=192.0.2.1:7000", false, "192.0.2.1 is not on this host"},
		"sentinel":       {"redis+sentinel://127.0.0.1?master_name=m&password=secret", false, ""},
		"sentinels":      {"redis+sentinel://127.0.0.1?master_name=m&password=secret&addr=192.0.2.1:1", false, "not on this host"},
		"no master":      {"redis+sentinel://127.0.0.1?password=secret", false, "master_name"},
		"address only":   {"127.0.0.1:6379", false, "want the gateway's redis.url"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := Config{Redis: tt.url, AllowRemote: tt.remote}
			_, err := serversOf(t.Context(), c)
			if (err == nil) != (tt.want == "") {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error %q", err)
			}
		})
	}
}
