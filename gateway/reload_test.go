package gateway_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
)

// reloadWith changes a copy of the running configuration and reloads it.
func (in *instance) reloadWith(change func(*gateway.Config)) []string {
	in.t.Helper()
	cfg := in.Live()
	change(&cfg)
	refused, err := in.Reload(cfg)
	if err != nil {
		in.t.Fatal(err)
	}
	return refused
}

func TestReload(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	c, before := in.subscribed("news"), in.Live()
	refused := in.reloadWith(func(c *gateway.Config) {
		c.Listen, c.Socket.Backlog, c.Auth.AllowAnonymous = ":1", 7, true
		c.Origins = []string{"https://example.com"}
		c.Channels = []gateway.ChannelRule{{Match: []string{"chat.*"}, Publish: true}}
		c.Limits.ChannelsPerConnection, c.Limits.HeadBytes, c.Limits.MessageBytes = 2, 1<<10, 100
		c.Heartbeat.Interval, c.Heartbeat.Timeout = time.Second, time.Second
	})
	if want := []string{"listen", "auth.allow_anonymous", "socket.backlog"}; !slices.Equal(refused, want) {
		t.Errorf("refused %v, want %v", refused, want)
	}
	if l := in.Live(); l.Listen != before.Listen || l.Auth.AllowAnonymous {
		t.Errorf("%+v was taken over", l)
	}
	// A client from before lives by the new settings.
	c.write(`{"type":"subscribe","channel":"b"}`)
	c.expect("subscribed")
	c.write(`{"type":"subscribe","channel":"c"}`)
	if e := c.expect("error"); e.Code != "too_many_channels" {
		t.Errorf("a third channel: %+v", e)
	}
	c.write(`{"type":"publish","channel":"chat.a","data":1}`)
	c.expect("published")
	in.redis.Publish("news", 1)
	c.expect("message")
	// And so do new ones.
	later := in.dial("/v1/ws")
	if e := later.expect("welcome"); e.Heartbeat != 1 || e.MaxMessage != 100 {
		t.Errorf("welcomed with %+v", e)
	}
	later.write(`{"type":"ping","ref":"` + strings.Repeat("x", 100) + `"}`)
	if code := later.closed(); code != websocket.CloseMessageTooBig {
		t.Errorf("a message over the new limit: closed with %d", code)
	}
	for origin, want := range map[string]int{"https://example.com": 101, "https://example.org": 403} {
		_, r, _ := websocket.DefaultDialer.Dial("ws://"+in.Addr()+"/v1/ws", http.Header{"Origin": {origin}})
		if r == nil || r.StatusCode != want {
			t.Errorf("origin %s: %v, want %d", origin, r, want)
		}
	}
	if status, _ := answerOf(t, in.raw("GET /healthz HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 1<<10))); status != 431 {
		t.Errorf("a head over the new limit: %d", status)
	}
}

func TestReloadConnections(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Limits.Connections = 1 }).ready()
	in.subscribed("news")
	if status, _ := answerOf(t, in.raw("")); status != 503 {
		t.Fatalf("the second one got %d", status)
	}
	in.reloadWith(func(c *gateway.Config) { c.Limits.Connections = 2 })
	in.subscribed("news")
	if status, _ := answerOf(t, in.raw("")); status != 503 {
		t.Fatalf("the third one got %d", status)
	}
}

// All of a configuration is applied or nothing.
func TestReloadRefusesAll(t *testing.T) {
	in := start(t, nil).ready()
	before := in.Live()
	cfg := before
	cfg.Limits.ChannelsPerConnection = 7
	cfg.Limits.HeadBytes, cfg.Origins = 1, []string{"nonsense"}
	_, err := in.Reload(cfg)
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"limits.head_bytes", "origins"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q does not name %s", err, key)
		}
	}
	if !reflect.DeepEqual(in.Live(), before) {
		t.Error("the settings were replaced")
	}
	cfg = before
	cfg.Auth.JWT.SecretFile = "/nonexistent"
	if _, err := in.Reload(cfg); err != nil && !reflect.DeepEqual(in.Live(), before) {
		t.Errorf("%v, and the settings were replaced", err)
	}
}

// A file whose changes fit only with the keys that stay until a restart names those.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	in, files := startTLS(t, func(c *gateway.Config) { c.TLS.ClientCAFile = c.TLS.Certificates[0].CertFile })
	cfg := in.Config()
	cfg.TLS.ClientCAFile = files.CA
	cfg.Auth.Mode, cfg.Auth.JWT.Secret = "jwt", strings.Repeat("s", 32)
	if refused, err := in.Reload(cfg); err != nil || !slices.Equal(refused, []string{"auth.mode", "auth.jwt.secret", "tls.client_ca_file"}) {
		t.Error(refused, err)
	}
	cfg.Origins = []string{"*"}
	const want = `auth.mode, auth.jwt.secret, tls.client_ca_file: can change only with a restart, which the other changes need: origins: "*" is not allowed`
	if _, err := in.Reload(cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
