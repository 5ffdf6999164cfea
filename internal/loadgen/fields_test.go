package loadgen

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every request of every transport has the fields that were asked for, from the
// processes that hold clients too, and the result shows no secret.
func TestRequestFields(t *testing.T) {
	for _, agents := range []int{0, 2} {
		s := newScripted()
		var (
			mu   sync.Mutex
			seen = make(map[string]http.Header)
		)
		served := s.Config.Handler
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.URL.Path] = r.Header.Clone()
			seen[r.URL.Path].Set("Host", r.Host)
			mu.Unlock()
			served.ServeHTTP(w, r)
		})
		c := s.start(t, 12, 5)
		c.Transport, c.Agents, c.Timeout = "ws:1,sse:1,poll:1", agents, time.Minute
		c.Headers = []string{"Authorization: Bearer hush", "X-Tenant:  acme ", "host: push.example", "User-Agent: planner"}
		c.Origin = "https://app.example"
		r := mustFanout(t, s, c)
		if !r.Good() {
			t.Fatal(r.Failed)
		}
		want := map[string]string{"Authorization": "Bearer hush", "X-Tenant": "acme", "Host": "push.example", "User-Agent": "planner", "Origin": "https://app.example"}
		mu.Lock()
		for _, path := range []string{"/v1/ws", "/v1/sse", "/v1/poll"} {
			for name, value := range want {
				if got := seen[path].Values(name); !slices.Equal(got, []string{value}) {
					t.Errorf("%s: %s: %q, want %q", path, name, got, value)
				}
			}
		}
		mu.Unlock()
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hush") || !strings.Contains(string(text), "X-Tenant:  acme") {
			t.Errorf("settings %+v", r.Settings)
		}
	}
}

func TestRequestFieldsRefused(t *testing.T) {
	tests := map[string]struct {
		change func(c *Config)
		want   string
	}{
		"no colon":       {func(c *Config) { c.Headers = []string{"hush"} }, "want 'Name: value'"},
		"no name":        {func(c *Config) { c.Headers = []string{": hush"} }, "want 'Name: value'"},
		"blank":          {func(c *Config) { c.Headers = []string{"X Y: hush"} }, "want 'Name: value'"},
		"second field":   {func(c *Config) { c.Headers = []string{"X: 1\r\nY: hush"} }, "line ends"},
		"own":            {func(c *Config) { c.Headers = []string{"connection: close"} }, "--header connection: loadgen writes"},
		"subprotocol":    {func(c *Config) { c.Headers = []string{"Sec-WebSocket-Protocol: x"} }, "--subprotocol sets it"},
		"twice a token":  {func(c *Config) { c.Headers = []string{"Authorization: hush"}; c.JWTKey = "/nothing" }, "leave out one"},
		"twice origin":   {func(c *Config) { c.Headers = []string{"Origin: a"}; c.Origin = "https://a" }, "leave out one"},
		"origin":         {func(c *Config) { c.Origin = "https://a https://b" }, "--origin"},
		"origin's end":   {func(c *Config) { c.Origin = "https://a\r\nX: y" }, "--origin"},
		"no WebSocket":   {func(c *Config) { c.Subprotocol = "x"; c.Transport = SSE }, "only WebSockets"},
		"no subprotocol": {func(c *Config) { c.Subprotocol = "x,,y" }, "comma separated"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			_, err := newPlan(t.Context(), c, testLimits)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A subprotocol is agreed on as browsers do: one of those offered, or the
// connection fails.
func TestSubprotocol(t *testing.T) {
	head := "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + webSocketAccept + "\r\n"
	tests := map[string]struct {
		offered, chosen string
		want            Reason
	}{
		"agreed":      {"bearer.x, pushgate.v1", "pushgate.v1", ReasonWelcome},
		"none chosen": {"pushgate.v1", "", ReasonSubprotocol},
		"another":     {"pushgate.v1", "pushgate.v2", ReasonSubprotocol},
		"unasked":     {"", "pushgate.v1", ReasonSubprotocol},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := head
			if tt.chosen != "" {
				answer += "Sec-WebSocket-Protocol: " + tt.chosen + "\r\n"
			}
			c := DefaultConfig()
			c.URL, c.Subprotocol, c.Connections, c.Timeout = "ws://"+answering(t, answer+"\r\n"), tt.offered, 1, 2*time.Second
			r, err := Idle(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Failures[tt.want] != 1 {
				t.Errorf("failures %v, want %q", r.Failures, tt.want)
			}
		})
	}
}

func TestMaskCommand(t *testing.T) {
	got := MaskCommand([]string{"--header", "Authorization: Bearer hush", "--header=X-Api-Key: hush", "--header", "X-Tenant: acme",
		"--redis", "redis://:hush@127.0.0.1:1", "--url=wss://push.example/?token=hush&v=1", "--subprotocol", "pushgate.v1,bearer.hush",
		"--admin", "127.0.0.1:8081", "-n", "5",
		"--hello", `{"auth":"hush"}`, "--hello", "enter {channel}", "--publish-url", "http://a:hush@127.0.0.1/{channel}", "--publish-header", "X-Key: hush", "--publish-cmd", "pub --password hush",
		"--publish-cmd", "redis-cli -p 1 -a hush -x", "--publish-cmd=redis-cli -u redis://me:hu:s/hush@127.0.0.1", "--publish-url=http://127.0.0.1/?api_key=hush%&cert_file=f",
		"--server-cmd", "env GATEWAY_ADMIN__TOKEN='hush hush' gateway --auth.mode none --auth.jwt.secret=hush --redis.url redis://:hush@127.0.0.1 --auth.jwt.secret_file f",
		"--agent", "ssh host PASSWORD=hush loadgen agent", "--header"})
	text := strings.Join(got, " ")
	if strings.Contains(text, "hush") {
		t.Error(text)
	}
	for _, want := range []string{"X-Tenant: acme", "127.0.0.1:8081 -n 5 --hello *** --hello enter {channel} --publish-url http://a:xxxxx@127.0.0.1/{channel} --publish-header X-Key: *** --publish-cmd *** --publish-cmd redis-cli -p 1 -a *** -x --publish-cmd=redis-cli -u redis://me:***@127.0.0.1 --publish-url=http://127.0.0.1/?api_key=xxxxx&cert_file=f",
		"--server-cmd env GATEWAY_ADMIN__TOKEN=*** gateway --auth.mode none --auth.jwt.secret=*** --redis.url redis://:***@127.0.0.1 --auth.jwt.secret_file f --agent ssh host PASSWORD=*** loadgen agent --header", "v=1", "Authorization: ***", "pushgate.v1,bearer.***"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %q", text, want)
		}
	}
}
