package plan

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

var testLimits = HostLimits{Descriptors: 20000, Ports: 28232}

func TestPlanRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(c *Config)
		limits HostLimits
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
		"ports":            {func(c *Config) { c.Connections = 60000; c.Sources = "127.0.0.2" }, HostLimits{1 << 20, 28232}, []string{"1 source address(es) with 28232 ports each", "name 3 with --src"}},
		"socket":           {func(c *Config) { c.URL = "unix:run/gateway.sock" }, testLimits, []string{"--url", "unix:/run/gateway.sock"}},
		"socket's path":    {func(c *Config) { c.URL = "unix:/run/gateway.sock:v1" }, testLimits, []string{"--url", "unix:/run/gateway.sock"}},
		"ports of ::1":     {func(c *Config) { c.Connections = 60000; c.URL = "ws://[::1]:8080" }, HostLimits{1 << 20, 28232}, []string{"1 source address(es)"}},
		"negative process": {func(c *Config) { c.PID = -1 }, testLimits, []string{"--pid -1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			_, err := New(t.Context(), c, tt.limits)
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
	p, err := New(t.Context(), c, HostLimits{1 << 20, 28232})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.path(0); got != "/push?v=1&" {
		t.Errorf("path %q", got)
	}
	if !p.Target.IsLocal() {
		t.Errorf("localhost is %v", &p.Target)
	}
	if len(p.SourceSet.four) != 7 {
		t.Errorf("sources %v, want seven for 60000 clients", p.SourceSet)
	}
	if len(p.RunID) != account.RunLength {
		t.Errorf("run id %q", p.RunID)
	}
	for transport, want := range map[Transport]string{WebSocket: "/v1/ws?", SSE: "/v1/sse?", Poll: "/v1/poll?"} {
		c := DefaultConfig()
		c.Transport = transport
		p, err := New(t.Context(), c, testLimits)
		if err != nil {
			t.Fatal(err)
		}
		if p.path(0) != want || p.Target.String() != "127.0.0.1:8080" {
			t.Errorf("%s: %+v", transport, p.Target)
		}
	}
}

// Every address is reached from every source: turns of the one must not fall
// together with turns of the other.
func TestEndsSpread(t *testing.T) {
	c := DefaultConfig()
	c.Sources = "127.0.0.2-127.0.0.5"
	p, err := New(t.Context(), c, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	first := p.Target.Addrs[0]
	second := first
	p.Target.Addrs = append(p.Target.Addrs, second)
	seen := make(map[[2]any]int)
	for client := range uint32(80) {
		from, _ := p.Ends(client)
		seen[[2]any{from, p.AddressOf(client)}]++
	}
	if len(seen) != 8 {
		t.Errorf("%d pairs of 8: %v", len(seen), seen)
	}
}
