package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

const testSecret = "a secret of more than thirty-two bytes"

// withTokens makes a gateway require HS256 tokens.
func withTokens(c *gateway.Config) {
	c.Auth.Mode = auth.ModeJWT
	c.Auth.JWT.Secret = testSecret
}

// token issues a token.
func token(t testing.TB, claims auth.Claims) string {
	t.Helper()
	key, err := auth.JWTConfig{Secret: testSecret}.SigningKey("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := auth.Mint(claims, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenBeforeChannels(t *testing.T) {
	in := start(t, withTokens).ready()
	good := token(t, auth.Claims{Subject: "ann", Subscribe: []string{"room.*"}, Channels: []string{"user.ann"}})
	c := in.dial("/v1/ws?channels=room.1&token=" + good)
	c.expect("welcome")
	got := map[string]bool{}
	for range 2 {
		got[c.expect("subscribed").Channel] = true
	}
	if !got["room.1"] || !got["user.ann"] {
		t.Errorf("subscribed to %v", got)
	}
	c.write(`{"type":"subscribe","channel":"secret","ref":1}`)
	if e := c.expect("error"); e.Code != "forbidden" || string(e.Ref) != "1" {
		t.Errorf("got %+v", e)
	}
	in.redis.Publish("user.ann", "1")
	c.expect("message")
}

// Subjects of identity providers may contain characters that channel names don't allow, or
// separators. The rest of their token stays valid.
func TestSubjectsOfIdentityProviders(t *testing.T) {
	in := start(t, withTokens).ready()
	for sub, own := range map[string]string{
		"auth0|x":     "user.auth0=7Cx",
		"a@b.c":       "user.a@b=2Ec",
		"urn:user:42": "user.urn=3Auser=3A42",
		"*":           "user.=2A",
	} {
		good := token(t, auth.Claims{Subject: sub, Subscribe: []string{"chat.*", "user.{sub}"}, Channels: []string{"user.{sub}"}})
		c := in.dial("/v1/ws?channels=chat.1&token=" + good)
		c.expect("welcome")
		got := []string{c.expect("subscribed").Channel, c.expect("subscribed").Channel}
		slices.Sort(got)
		if !slices.Equal(got, []string{"chat.1", own}) {
			t.Errorf("%s is subscribed to %v", sub, got)
		}
		in.redis.Publish(own, `"for one"`)
		c.expect("message")
		for _, path := range []string{"/v1/sse", "/v1/poll"} {
			if status, _ := in.get("http://" + in.Addr() + path + "?channels=user.a&token=" + good); status != 403 {
				t.Errorf("%s: %s may follow user.a: %d", path, sub, status)
			}
		}
	}
}

func TestTokenInTheHeaderAndTheFirstMessage(t *testing.T) {
	in := start(t, withTokens).ready()
	good := token(t, auth.Claims{Subject: "ann", Subscribe: []string{"**"}})
	c, _, err := websocket.DefaultDialer.Dial("ws://"+in.Addr()+"/v1/ws?channels=a", http.Header{"Authorization": {"Bearer " + good}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(&client{c, t}).expect("welcome")

	late := in.dial("/v1/ws?channels=a")
	late.write(`{"type":"subscribe","channel":"b","ref":1}`)
	if e := late.expect("error"); e.Code != "unauthorized" {
		t.Errorf("got %+v", e)
	}
	late.write(fmt.Sprintf(`{"type":"auth","token":%q,"ref":2}`, good))
	if e := late.expect("welcome"); string(e.Ref) != "2" {
		t.Errorf("got %+v", e)
	}
	if e := late.expect("subscribed"); e.Channel != "a" {
		t.Errorf("got %+v", e)
	}
}

func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		withTokens(c)
		c.Limits.HeadTimeout = 2 * time.Second
	}).ready()
	expired := token(t, auth.Claims{Subject: "a", Subscribe: []string{"**"}, Expires: time.Now().Add(-time.Hour)})
	narrow := token(t, auth.Claims{Subject: "a", Subscribe: []string{"mine"}})
	for name, tc := range map[string]struct {
		query  string
		code   int
		status int
	}{
		"none":      {"", 4001, 401},
		"malformed": {"&token=nonsense", 4001, 401},
		"expired":   {"&token=" + expired, 4001, 401},
		"forbidden": {"&token=" + narrow, 4003, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if got := in.dial("/v1/ws?channels=a" + tc.query).closed(); got != tc.code {
				t.Errorf("closed with %d, want %d", got, tc.code)
			}
			for _, path := range []string{"/v1/sse", "/v1/poll"} {
				if status, body := in.get("http://" + in.Addr() + path + "?channels=a" + tc.query); status != tc.status {
					t.Errorf("%s: %d %s, want %d", path, status, body, tc.status)
				}
			}
		})
	}
	if n := in.metric(`gateway_tokens_refused_total{reason="expired"}`); n != 3 {
		t.Errorf("%v expired tokens counted", n)
	}
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		withTokens(c)
		c.Auth.JWT.Leeway = 0
	}).ready()
	soon := func() string {
		return token(t, auth.Claims{Subject: "a", Subscribe: []string{"**"}, Expires: time.Now().Add(2 * time.Second)})
	}
	refreshed := in.dial("/v1/ws?channels=a&token=" + soon())
	left := in.dial("/v1/ws?channels=a&token=" + soon())
	stream := in.events("/v1/sse?channels=a&token="+soon(), "")
	for _, c := range []*client{refreshed, left} {
		c.expect("welcome")
		c.expect("subscribed")
	}
	refreshed.write(fmt.Sprintf(`{"type":"auth","token":%q}`, token(t, auth.Claims{Subject: "b", Subscribe: []string{"**"}})))
	if e := refreshed.expect("error"); e.Code != "forbidden" {
		t.Errorf("a token of another subject: %+v", e)
	}
	refreshed.write(fmt.Sprintf(`{"type":"auth","token":%q}`, token(t, auth.Claims{Subject: "a", Subscribe: []string{"a", "c"}})))
	refreshed.expect("welcome")
	if code := left.closed(); code != 4001 {
		t.Errorf("closed with %d", code)
	}
	stream.expect("subscribed")
	if _, v := stream.expect("bye"); v.Reason != "token" || v.Message != "token refused: expired" || v.ReconnectAfterMS < 1 {
		t.Errorf("got %+v", v)
	}
	in.redis.Publish("a", "1")
	refreshed.expect("message")
	// A token with fewer rights revokes the others.
	refreshed.write(fmt.Sprintf(`{"type":"auth","token":%q}`, token(t, auth.Claims{Subject: "a", Subscribe: []string{"c"}})))
	refreshed.expect("welcome")
	if e := refreshed.expect("unsubscribed"); e.Channel != "a" {
		t.Errorf("got %+v", e)
	}
}

func TestPublishNeedsTheTokensLeave(t *testing.T) {
	in := start(t, withTokens).ready()
	may := token(t, auth.Claims{Subject: "a", Subscribe: []string{"room"}, Publish: []string{"room"}})
	mayNot := token(t, auth.Claims{Subject: "b", Subscribe: []string{"room"}})
	listener := in.dial("/v1/ws?channels=room&token=" + mayNot)
	listener.expect("welcome")
	listener.expect("subscribed")
	c := in.dial("/v1/ws?token=" + may)
	c.expect("welcome")
	c.write(`{"type":"publish","channel":"room","data":{"text":"hi"},"ref":9}`)
	if e := c.expect("published"); string(e.Ref) != "9" || e.Channel != "room" {
		t.Errorf("got %+v", e)
	}
	if e := listener.expect("message"); string(e.Data) != `{"text":"hi"}` {
		t.Errorf("got %+v", e)
	}
	listener.write(`{"type":"publish","channel":"room","data":1}`)
	if e := listener.expect("error"); e.Code != "forbidden" {
		t.Errorf("got %+v", e)
	}
	post := func(token string) int {
		req, _ := http.NewRequest("POST", "http://"+in.Addr()+"/v1/publish", strings.NewReader(`{"channel":"room","data":2,"durable":true}`))
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := gatewaytest.Once.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if status := post(mayNot); status != 403 {
		t.Errorf("without leave: %d", status)
	}
	if status := post(may); status != 200 {
		t.Errorf("with leave: %d", status)
	}
	if e := listener.expect("message"); string(e.Data) != "2" || strings.HasPrefix(e.ID, "~") {
		t.Errorf("got %+v", e)
	}
}

// publishedID publishes durably to the channel room with an idempotency key, over the public
// listener, and returns the message's id. token may be empty.
func (in *instance) publishedID(token, data, key string) string {
	in.t.Helper()
	req, err := http.NewRequest("POST", "http://"+in.Addr()+"/v1/publish",
		strings.NewReader(fmt.Sprintf(`{"channel":"room","data":%q,"durable":true,"idempotency_key":%q}`, data, key)))
	if err != nil {
		in.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := gatewaytest.Once.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.ID == "" {
		in.t.Fatalf("%s: %v", resp.Status, err)
	}
	return answer.ID
}

// An idempotency key is valid for its publisher only.
func TestIdempotencyKeysAreTheSubjects(t *testing.T) {
	in := start(t, withTokens).ready()
	publish := func(subject, key string) string {
		return in.publishedID(token(t, auth.Claims{Subject: subject, Publish: []string{"room"}}), subject, key)
	}
	var backend struct{ ID string }
	first := publish("a", "key")
	in.call("POST", "/v1/publish", `{"channel":"room","data":1,"durable":true,"idempotency_key":"key"}`, &backend)
	if again := publish("a", "key"); again != first {
		t.Errorf("published again: %s after %s", again, first)
	}
	ids := []string{first, publish("b", "key"), publish("a:3", "key"), publish("a", "3:key"), backend.ID}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 5 {
		t.Errorf("a key was taken for another's: %v", ids)
	}
}

// Clients without a subject share their keys, but none can suppress another's messages.
func TestIdempotencyKeysOfNobody(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}} }).ready()
	publish := func(data string) string { return in.publishedID("", data, "key") }
	first := publish("mine")
	if again := publish("mine"); again != first {
		t.Errorf("published again: %s after %s", again, first)
	}
	if other := publish("another's"); other == first {
		t.Error("another's message was taken for the first")
	}
}

func TestPublishByRule(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"open.*"}, Publish: true, Durable: true, MaxLen: 10, TTL: time.Minute}}
	}).ready()
	c := in.subscribed("open.1")
	c.write(`{"type":"publish","channel":"open.1","data":"x","ref":1}`)
	got := map[string]event{}
	for range 2 {
		e := c.next()
		got[e.Type] = e
	}
	if got["published"].ID == "" || got["published"].ID != got["message"].ID {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{
		`{"type":"publish","channel":"closed","data":1}`,
		`{"type":"publish","channel":"open.1"}`,
		`{"type":"publish","channel":"open. 1","data":1}`,
	} {
		c.write(bad)
		c.expect("error")
	}
}

// A client that shows no token may hold its connection no longer than one that
// sends no request.
func TestTokenDeadline(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		withTokens(c)
		c.Limits.HeadTimeout = 2 * time.Second // it holds for the handshake too, on a busy machine
	})
	begin := time.Now()
	if code := in.dial("/v1/ws").closed(); code != 4001 || time.Since(begin) > patience/2 {
		t.Errorf("closed with %d after %v", code, time.Since(begin))
	}
	eventually(t, "nothing is kept", func() bool {
		k := in.Kept()
		return k.Unknown == 0 && k.Grants == 0
	})
}

// The channels of a request and of its token together have to be within the limit.
func TestChannelsOfTheTokenCount(t *testing.T) {
	in := start(t, func(c *gateway.Config) { withTokens(c); c.Limits.ChannelsPerConnection = 2 }).ready()
	good := token(t, auth.Claims{Subject: "ann", Subscribe: []string{"**"}, Channels: []string{"t1", "t2"}})
	for _, path := range []string{"/v1/poll?wait=1&", "/v1/sse?"} {
		if status, body := in.get("http://" + in.Addr() + path + "channels=a&token=" + good); status != 400 || !strings.Contains(body, "too_many_channels") {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
}

// A token may outlive the range of ticks.
func TestTokenForYears(t *testing.T) {
	t.Parallel()
	in := start(t, withTokens).ready()
	for _, years := range []time.Duration{1, 5, 10, 14, 100} {
		end := time.Now().Add(years * 365 * 24 * time.Hour)
		c := in.dial("/v1/ws?channels=news&token=" + token(t, auth.Claims{Subject: "u", Subscribe: []string{"news"}, Expires: end}))
		c.expect("welcome")
		c.expect("subscribed")
		time.Sleep(2 * gateway.Tick)
		in.redis.Publish("news", years)
		c.expect("message")
		c.Close()
	}
}
