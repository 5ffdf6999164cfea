package plan

import (
	"strings"
	"testing"
)

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
			_, err := New(t.Context(), c, testLimits)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, want %q", err, tt.want)
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
