package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

func TestMessageReachesEverySubscriber(t *testing.T) {
	in := start(t, nil).ready()
	a, b, other := in.subscribed("news"), in.subscribed("news", "sport"), in.subscribed("sport")
	in.redis.Publish("news", `{"hello":1}`)
	for _, c := range []*client{a, b} {
		e := c.expect("message")
		if e.Channel != "news" || string(e.Data) != `{"hello":1}` || e.ID == "" {
			t.Errorf("got %+v", e)
		}
	}
	in.redis.Publish("sport", "plain text")
	for _, c := range []*client{b, other} {
		if e := c.expect("message"); e.Channel != "sport" || string(e.Data) != `"plain text"` {
			t.Errorf("got %+v", e)
		}
	}
	in.redis.Publish("sport", []byte{0xff, 0})
	if e := other.expect("message"); e.DataBase64 != "/wA=" {
		t.Errorf("got %+v", e)
	}
}

func TestWelcome(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Heartbeat.Interval = 7 * time.Second
		c.Limits.MessageBytes = 1234
	})
	a, b := in.dial("/v1/ws").expect("welcome"), in.dial("/v1/ws").expect("welcome")
	if a.Connection == "" || a.Connection == b.Connection {
		t.Errorf("connections %q and %q", a.Connection, b.Connection)
	}
	if a.Heartbeat != 7 || a.MaxMessage != 1234 {
		t.Errorf("got %+v", a)
	}
}

func TestCommands(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.ChannelsPerConnection = 2 }).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	for _, step := range []struct{ send, want string }{
		{`{"type":"ping","ref":7}`, `{"type":"pong","ref":7}`},
		{`{"type":"ping"}`, `{"type":"pong"}`},
		{`{"type":"subscribe","channel":"a","ref":"x"}`, `{"type":"subscribed","channel":"a","id":"*","ref":"x"}`},
		{`{"type":"subscribe","channel":"a","ref":1}`, `{"type":"subscribed","channel":"a","id":"*","ref":1}`},
		{`{"type":"subscribe","channel":"b"}`, `{"type":"subscribed","channel":"b","id":"*"}`},
		{`{"type":"subscribe","channel":"c","ref":2}`, `{"type":"error","channel":"c","code":"too_many_channels","message":"*","ref":2}`},
		{`{"type":"unsubscribe","channel":"a","ref":3}`, `{"type":"unsubscribed","channel":"a","ref":3}`},
		{`{"type":"unsubscribe","channel":"a","ref":4}`, `{"type":"error","channel":"a","code":"not_subscribed","message":"*","ref":4}`},
		{`{"type":"subscribe","channel":"c"}`, `{"type":"subscribed","channel":"c","id":"*"}`},
		{`{"type":"subscribe","channel":"bad name","ref":5}`, `{"type":"error","channel":"bad name","code":"invalid_channel","message":"*","ref":5}`},
		{`{"type":"subscribe","ref":6}`, `{"type":"error","code":"invalid_channel","message":"*","ref":6}`},
		{`{"type":"subscribe","channel":"d","since":"nonsense"}`, `{"type":"error","channel":"d","code":"invalid_position","message":"*"}`},
		{`{"type":"fly","ref":8}`, `{"type":"error","code":"unknown_type","message":"*","ref":8}`},
		{`{"type":"ping","ref":{"a":1}}`, `{"type":"error","code":"bad_message","message":"*"}`},
		{`not json`, `{"type":"error","code":"bad_message","message":"*"}`},
		{`[]`, `{"type":"error","code":"bad_message","message":"*"}`},
	} {
		c.write(step.send)
		c.SetReadDeadline(time.Now().Add(patience))
		_, got, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("%s: %v", step.send, err)
		}
		if !matches(string(got), step.want) {
			t.Errorf("%s\n got %s\nwant %s", step.send, got, step.want)
		}
	}
}

// matches compares two JSON objects; "*" stands for any text that isn't empty.
func matches(got, want string) bool {
	var g, w map[string]any
	if json.Unmarshal([]byte(got), &g) != nil || json.Unmarshal([]byte(want), &w) != nil || len(g) != len(w) {
		return false
	}
	for k, v := range w {
		if v == "*" {
			if s, ok := g[k].(string); !ok || s == "" {
				return false
			}
			continue
		}
		if g[k] != v {
			return false
		}
	}
	return strings.HasPrefix(got, `{"type":`)
}

func TestUnsubscribedGetsNothing(t *testing.T) {
	in := start(t, nil).ready()
	c := in.subscribed("a", "b")
	c.write(`{"type":"unsubscribe","channel":"a"}`)
	c.expect("unsubscribed")
	in.redis.Publish("a", "1")
	in.redis.Publish("b", "2")
	if e := c.expect("message"); e.Channel != "b" {
		t.Errorf("got %+v", e)
	}
}

func TestRawFormat(t *testing.T) {
	in := start(t, nil).ready()
	c := in.dial("/v1/ws?channels=news&format=raw")
	eventually(t, "the channel is subscribed", func() bool { return in.redis.Publish("news", "probe") == 1 })
	in.redis.Publish("news", `{"a": 1}`)
	in.redis.Publish("news", []byte{0, 0xff})
	want := []struct {
		kind int
		text string
	}{{websocket.TextMessage, `{"a": 1}`}, {websocket.BinaryMessage, "\x00\xff"}}
	for len(want) > 0 {
		c.SetReadDeadline(time.Now().Add(patience))
		kind, got, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) == "probe" {
			continue
		}
		if kind != want[0].kind || string(got) != want[0].text {
			t.Errorf("got %d %q, want %d %q", kind, got, want[0].kind, want[0].text)
		}
		want = want[1:]
	}
}

func TestOrderHoldsForEverySubscriber(t *testing.T) {
	in := start(t, nil).ready()
	const clients, messages = 20, 500
	var all []*client
	for range clients {
		all = append(all, in.subscribed("seq"))
	}
	go func() {
		for i := range messages {
			in.redis.Publish("seq", i)
		}
	}()
	for _, c := range all {
		for want := range messages {
			if e := c.expect("message"); string(e.Data) != fmt.Sprint(want) {
				t.Fatalf("got %s in place of %d", e.Data, want)
			}
		}
	}
}

func TestResumeBySince(t *testing.T) {
	in := start(t, nil).ready()
	first := in.subscribed("r")
	var ids []string
	for i := range 5 {
		in.redis.Publish("r", i)
		ids = append(ids, first.expect("message").ID)
	}
	c := in.dial("/v1/ws")
	c.expect("welcome")
	c.write(fmt.Sprintf(`{"type":"subscribe","channel":"r","since":%q}`, ids[1]))
	if e := c.expect("subscribed"); e.ID != ids[1] {
		t.Errorf("subscribed at %s, want %s", e.ID, ids[1])
	}
	in.redis.Publish("r", 5)
	for want := 2; want <= 5; want++ {
		if e := c.expect("message"); string(e.Data) != fmt.Sprint(want) {
			t.Errorf("got %s, want %d", e.Data, want)
		}
	}
	// A position of another node is unavailable: the remaining messages, after a gap.
	c.write(`{"type":"unsubscribe","channel":"r"}`)
	c.expect("unsubscribed")
	c.write(`{"type":"subscribe","channel":"r","since":"~elsewhere-3"}`)
	c.expect("subscribed")
	if e := c.expect("gap"); e.Channel != "r" || e.Reason != "history" || e.Since != "~elsewhere-3" {
		t.Errorf("got %+v", e)
	}
}

func TestCloseHandshake(t *testing.T) {
	in := start(t, nil)
	for name, code := range map[string]int{"normal": 1000, "going away": 1001, "own": 4321} {
		t.Run(name, func(t *testing.T) {
			c := in.dial("/v1/ws")
			c.expect("welcome")
			c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, "bye"))
			if got := c.closed(); got != code {
				t.Errorf("answered with %d, want %d", got, code)
			}
			// After the close frame the gateway ends its side of the stream.
			c.NetConn().SetReadDeadline(time.Now().Add(patience))
			if _, err := c.NetConn().Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after the close frame: %v", err)
			}
			c.Close()
		})
	}
	eventually(t, "no connection is left", func() bool { return in.totals().connections == 0 })
}

func TestBadFrames(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.MessageBytes = 1000 })
	for name, tc := range map[string]struct {
		frame string
		code  int
	}{
		"unmasked":        {"\x81\x02hi", 1002},
		"reserved bit":    {"\xc1\x80\x00\x00\x00\x00", 1002},
		"reserved op":     {"\x83\x80\x00\x00\x00\x00", 1002},
		"bad utf-8":       {"\x81\x81\x00\x00\x00\x00\xff", 1007},
		"too big":         {"\x81\xfe\x03\xe9\x00\x00\x00\x00", 1009},
		"lies about 2^62": {"\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1009},
		"binary":          {"\x82\x81\x00\x00\x00\x00a", 1003},
		"close code 999":  {"\x88\x82\x00\x00\x00\x00\x03\xe7", 1002},
	} {
		t.Run(name, func(t *testing.T) {
			c := in.dial("/v1/ws")
			c.expect("welcome")
			if _, err := c.NetConn().Write([]byte(tc.frame)); err != nil {
				t.Fatal(err)
			}
			if got := c.closed(); got != tc.code {
				t.Errorf("closed with %d, want %d", got, tc.code)
			}
		})
	}
}

func TestPingIsAnswered(t *testing.T) {
	in := start(t, nil)
	c := in.dial("/v1/ws")
	c.expect("welcome")
	pong := make(chan string, 1)
	c.SetPongHandler(func(data string) error { pong <- data; return nil })
	c.WriteControl(websocket.PingMessage, []byte("payload"), time.Now().Add(patience))
	c.write(`{"type":"ping"}`)
	c.expect("pong")
	if got := <-pong; got != "payload" {
		t.Errorf("pong %q", got)
	}
}

// Heads and frames that arrive byte by byte have the same result as whole ones.
func TestByteAtATime(t *testing.T) {
	in := start(t, nil).ready()
	head := strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=slow", 1)
	subscribe := `{"type":"subscribe","channel":"other"}`
	frame := append([]byte{0x81, 0x80 | byte(len(subscribe)), 0, 0, 0, 0}, subscribe...)
	c := in.raw("")
	for _, b := range []byte(head + string(frame)) {
		c.Write([]byte{b})
		time.Sleep(100 * time.Microsecond) // so that the kernel doesn't join them
	}
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), `"channel":"slow"`) || !strings.Contains(got.String(), `"channel":"other"`) {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(buf[:n])
	}
	if !strings.HasPrefix(got.String(), "HTTP/1.1 101 ") || strings.Count(got.String(), `"type":"subscribed"`) != 2 {
		t.Errorf("got %q", got.String())
	}
}

// A client may send frames right behind its request.
func TestBytesBehindTheHead(t *testing.T) {
	in := start(t, nil)
	c := in.raw(upgradeHead + "\x81\x8f\x00\x00\x00\x00" + `{"type":"ping"}` + "\x88\x80\x00\x00\x00\x00")
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(all), `{"type":"pong"}`) || !strings.HasSuffix(string(all), "\x88\x00") {
		t.Errorf("got %q", all)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.ChannelsPerConnection = 3 })
	for name, tc := range map[string]struct {
		path   string
		change func(http.Header)
		status int
		code   string
	}{
		"unknown path":    {"/v1/nothing", nil, 404, "not_found"},
		"no upgrade":      {"/v1/ws", func(h http.Header) { h.Del("Upgrade") }, 426, "upgrade_required"},
		"old version":     {"/v1/ws", func(h http.Header) { h.Set("Sec-WebSocket-Version", "8") }, 426, "upgrade_required"},
		"bad key":         {"/v1/ws", func(h http.Header) { h.Set("Sec-WebSocket-Key", "short") }, 400, "bad_upgrade"},
		"bad channel":     {"/v1/ws?channels=a%20b", nil, 400, "invalid_channel"},
		"too many":        {"/v1/ws?channels=a,b,c,d", nil, 400, "too_many_channels"},
		"bad format":      {"/v1/ws?format=xml", nil, 400, "bad_request"},
		"bad cursor":      {"/v1/ws?channels=a&cursor=!", nil, 400, "invalid_position"},
		"broken encoding": {"/v1/ws?channels=%zz", nil, 400, "bad_query"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest("GET", "http://"+in.Addr()+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"},
				"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			if tc.change != nil {
				tc.change(r.Header)
			}
			resp, err := gatewaytest.Once.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var body struct {
				Error struct{ Code, Message string }
			}
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.status || body.Error.Code != tc.code || body.Error.Message == "" {
				t.Errorf("got %d %+v, want %d %s", resp.StatusCode, body.Error, tc.status, tc.code)
			}
			if tc.status == 426 && resp.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Error("426 without Sec-WebSocket-Version")
			}
		})
	}
}
