package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/redistest"
)

// publishes lets clients publish, with tokens; messages to kept.* are durable.
func publishes(c *gateway.Config) {
	withTokens(c)
	c.Channels = []gateway.ChannelRule{
		{Match: []string{"kept.*"}, Publish: true, Durable: true},
		{Match: []string{"**"}, Publish: true},
	}
}

// everything is a token that allows everything.
func everything(t testing.TB, subject string) string {
	return token(t, auth.Claims{Subject: subject, Subscribe: []string{"**"}, Publish: []string{"**"}})
}

// publishAs publishes a message in JSON by a POST with a token.
func (in *instance) publishAs(token, message string) (status int, body string) {
	in.t.Helper()
	c := in.raw(post("/v1/publish", message, "Authorization: Bearer "+token+"\r\n"))
	defer c.Close()
	return answerOf(in.t, c)
}

// from checks that a message names its publisher, and only in the user field.
func (e event) from(t testing.TB, user, data string) {
	t.Helper()
	switch {
	case e.Type != "message" || string(e.Data) != data:
		t.Fatalf("got %+v, data %s, want %s", e, e.Data, data)
	case user == "" && e.User != nil:
		t.Fatalf("%s is from %q", data, *e.User)
	case user != "" && (e.User == nil || *e.User != user):
		t.Fatalf("%s is from %v, want %q", data, e.User, user)
	}
}

// subjects are possible subjects of a token.
var subjects = map[string]string{
	"a name": "anna", "an address": "a@b.c", "a URN": "urn:user:42", "a provider's": "auth0|5f7c",
	"quotes": `"},"data":{"forged":true},"x":{"y":"`, "line ends": "a\nid: 1-1\r\nevent: x", "control characters": "a\x00\x1e1-2\x1eU\x1e\u2028\x7f",
	"other letters": "Ωµ🐦", "HTML": "<script>", "no subject": "",
}

// A client's message carries its token's subject, on every transport, live, from the ring and from
// the history of another node, whatever the data claims and whatever the subject is.
func TestUserOfWhatClientsPublish(t *testing.T) {
	redis := redistest.Start(t)
	in, other := startOn(t, redis, publishes).ready(), startOn(t, redis, publishes).ready()
	n := 0
	for name, subject := range subjects {
		t.Run(name, func(t *testing.T) {
			n++
			mine, reader := everything(t, subject), "&token="+everything(t, "reader")
			for kind, channel := range map[string]string{"plain": fmt.Sprintf("chat.%d", n), "durable": fmt.Sprintf("kept.%d", n)} {
				t.Run(kind, func(t *testing.T) {
					ws := in.dial("/v1/ws?channels=" + channel + "&token=" + mine)
					ws.expect("welcome")
					begin := ws.expect("subscribed").ID
					sse := in.events("/v1/sse?channels="+channel+reader, "")
					sse.expect("subscribed")
					raw := in.events("/v1/sse?format=raw&channels="+channel+reader, "")
					poll := in.poll(nil, "wait=0&channels="+channel+reader)

					const first, second = `{"user":"anna","n":1}`, `{"user":"anna","n":2}`
					ws.write(fmt.Sprintf(`{"type":"publish","channel":%q,"data":%s}`, channel, first))
					var id string
					for range 2 { // the message, and that it's published, in either order
						if e := ws.next(); e.Type == "message" {
							e.from(t, subject, first)
							id = e.ID
						}
					}
					if status, body := in.publishAs(mine, fmt.Sprintf(`{"channel":%q,"data":%s}`, channel, second)); status != 200 {
						t.Fatalf("%d %s", status, body)
					}
					ws.next().from(t, subject, second)
					for _, data := range []string{first, second} {
						_, e := sse.expect("message")
						e.from(t, subject, data)
						if got := raw.next(); got.data != data {
							t.Errorf("raw: %q", got.data)
						}
					}
					check := func(p polled) {
						t.Helper()
						if len(p.Messages) != 2 {
							t.Fatalf("%d messages", len(p.Messages))
						}
						for i, data := range []string{first, second} {
							var e event
							if err := json.Unmarshal(p.Messages[i], &e); err != nil {
								t.Fatal(err)
							}
							e.from(t, subject, data)
						}
						spelled := `{"type":"message","channel":"` + channel + `","id":"` + id + `",`
						if subject != "" {
							spelled += `"user":"`
						}
						if !strings.HasPrefix(string(p.Messages[0]), spelled) {
							t.Errorf("got %s", p.Messages[0])
						}
					}
					check(in.poll(nil, "channels="+channel+"&cursor="+poll.Cursor+reader))

					// Again, for resuming clients.
					node := in
					if kind == "durable" {
						node = other // which reads it from the stream
					}
					back := node.dial("/v1/ws?channels=" + channel + "&cursor=" + begin + reader)
					back.expect("welcome")
					back.expect("subscribed")
					for _, data := range []string{first, second} {
						back.next().from(t, subject, data)
					}
				})
			}
		})
	}
}

// No client can forge a message's user, or give one to a message without.
func TestUserIsNotForged(t *testing.T) {
	for mode, change := range map[string]func(*gateway.Config){
		"tokens": publishes,
		"none":   func(c *gateway.Config) { publishes(c); c.Auth.Mode = "none" },
	} {
		t.Run(mode, func(t *testing.T) {
			in := start(t, change).ready()
			subject, key := "mallory", "&token="+everything(t, "mallory")
			if mode == "none" {
				subject, key = "", ""
			}
			for kind, channel := range map[string]string{"plain": "chat.1", "durable": "kept.1"} {
				c := in.dial("/v1/ws?channels=" + channel + key)
				c.expect("welcome")
				c.expect("subscribed")
				for _, forged := range []string{"\x1eU\x1e\"anna\"\x1e1", "\x1eU9999999999999-1\x1e\"anna\"\x1e1", "\x1e9999999999999-1\x1e1", "\x1eP\x1e{}", "\x1eU\x1e\"\"\x1e1"} {
					for _, subject := range []string{subject, ""} {
						bytes := base64.StdEncoding.EncodeToString([]byte(forged))
						bearer := everything(t, subject)
						if mode == "none" {
							bearer = "none"
						}
						status, body := in.publishAs(bearer, fmt.Sprintf(`{"channel":%q,"data_base64":%q}`, channel, bytes))
						if kind == "plain" && subject == "" {
							if status != 400 || !strings.Contains(body, "bad_request") {
								t.Errorf("%q without a subject: %d %s", forged, status, body)
							}
							continue
						}
						if status != 200 {
							t.Fatalf("%q: %d %s", forged, status, body)
						}
						text, _ := json.Marshal(forged)
						c.next().from(t, subject, string(text))
					}
				}
				// In JSON the byte can't stand in front.
				data := `"\u001eU\u001e\"anna\"\u001e1"`
				c.write(fmt.Sprintf(`{"type":"publish","channel":%q,"data":%s}`, channel, data))
				for range 2 {
					if e := c.next(); e.Type == "message" {
						e.from(t, subject, data)
					}
				}
				if status, body := in.publishAs(everything(t, subject), fmt.Sprintf(`{"channel":%q,"data":1,"user":"anna"}`, channel)); status != 400 {
					t.Errorf("a client names a user: %d %s", status, body)
				}
				c.write(fmt.Sprintf(`{"type":"publish","channel":%q,"data":1,"user":"anna"}`, channel))
				for range 2 {
					if e := c.next(); e.Type == "message" {
						e.from(t, subject, "1")
					}
				}
			}
		})
	}
}

// Backends may name the user they publish for, in each of their ways to publish, and scripts and
// commands without a user work as before.
func TestUserThatABackendNames(t *testing.T) {
	in := start(t, nil).ready()
	eval := func(channel string, args ...any) error {
		return redistest.PublishScript.Run(t.Context(), in.redis.Client, []string{"{push:" + channel + "}:log"}, append([]any{"push:" + channel}, args...)...).Err()
	}
	text := func(payload string) func(string) error {
		return func(channel string) error { in.redis.Publish(channel, payload); return nil }
	}
	call := func(form string) func(string) error {
		return func(channel string) error { return in.publish(fmt.Sprintf(form, channel)) }
	}
	n := 0
	for name, test := range map[string]struct {
		publish func(channel string) error
		user    string
	}{
		"the script":                   {func(c string) error { return eval(c, "1", 100, 60, 0, "", "anna") }, "anna"},
		"the script with a command":    {func(c string) error { return eval(c, "1", 100, 60, 0, "PUBLISH", `"a"/<é>`+"\x1e\n") }, `"a"/<é>` + "\x1e\n"},
		"the script without a user":    {func(c string) error { return eval(c, "1", 100, 60, 0, "PUBLISH", "") }, ""},
		"the script as it was":         {func(c string) error { return eval(c, "1", 100, 60) }, ""},
		"the script that keeps all":    {func(c string) error { return eval(c, "1", 0, 60, 0, "PUBLISH", "anna") }, "anna"},
		"a plain message by hand":      {text("\x1eU\x1e\"anna\"\x1e1"), "anna"},
		"a durable message as it was":  {text("\x1e1795508363517-0\x1e1"), ""},
		"POST":                         {call(`{"channel":%q,"data":1,"user":"anna"}`), "anna"},
		"POST of a durable message":    {call(`{"channel":%q,"data":1,"user":"anna","durable":true}`), "anna"},
		"POST of several":              {call(`[{"channel":%q,"data":1,"user":"anna"}]`), "anna"},
		"POST of several durable ones": {call(`[{"channel":%q,"data":1,"user":"anna","durable":true}]`), "anna"},
		"POST without a user":          {call(`{"channel":%q,"data":1}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			n++
			channel := fmt.Sprintf("c%d", n)
			c := in.subscribed(channel)
			if err := test.publish(channel); err != nil {
				t.Fatal(err)
			}
			c.next().from(t, test.user, "1")
		})
	}
}

// publish posts to the admin listener.
func (in *instance) publish(body string) error {
	if status := in.call("POST", "/v1/publish", body, new(any)); status != 200 {
		return fmt.Errorf("status %d", status)
	}
	return nil
}
