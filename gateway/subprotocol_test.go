package gateway_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
)

// offering is a handshake with further header lines.
func offering(lines ...string) string {
	return strings.TrimSuffix(upgradeHead, "\r\n") + strings.Join(lines, "") + "\r\n"
}

func TestSubprotocols(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.WebSocket.Subprotocols = []string{"mine", "graphql-ws"}
		c.Debug.Echo = true
	})
	for name, tc := range map[string]struct {
		lines  []string
		status int
		chosen []string
	}{
		"nothing":              {nil, 101, nil},
		"the gateway's":        {[]string{"Sec-WebSocket-Protocol: pushgate.v1\r\n"}, 101, []string{"pushgate.v1"}},
		"the gateway's, last":  {[]string{"Sec-WebSocket-Protocol: x, graphql-ws, pushgate.v1\r\n"}, 101, []string{"pushgate.v1"}},
		"the first configured": {[]string{"Sec-WebSocket-Protocol: x ,\tgraphql-ws,mine\r\n"}, 101, []string{"graphql-ws"}},
		"in several lines":     {[]string{"Sec-WebSocket-Protocol: mine\r\n", "sec-websocket-protocol: x, pushgate.v1\r\n"}, 101, []string{"pushgate.v1"}},
		"unknown":              {[]string{"Sec-WebSocket-Protocol: x\r\n"}, 101, nil},
		"names have case":      {[]string{"Sec-WebSocket-Protocol: Pushgate.v1\r\n"}, 101, nil},
		"no prefix of a name":  {[]string{"Sec-WebSocket-Protocol: pushgate.v10, min\r\n"}, 101, nil},
		"empty elements":       {[]string{"Sec-WebSocket-Protocol: , ,mine,\r\n"}, 101, []string{"mine"}},
		"empty":                {[]string{"Sec-WebSocket-Protocol:\r\n"}, 101, nil},
		"a token":              {[]string{"Sec-WebSocket-Protocol: bearer.a-b_c.d~e, pushgate.v1\r\n"}, 101, []string{"pushgate.v1"}},
		"a token alone":        {[]string{"Sec-WebSocket-Protocol: bearer.a.b.c\r\n"}, 101, nil},
		"no list of tokens":    {[]string{"Sec-WebSocket-Protocol: pushgate.v1, a b\r\n"}, 400, nil},
		"separators":           {[]string{"Sec-WebSocket-Protocol: pushgate.v1\r\n", "Sec-WebSocket-Protocol: a/b\r\n"}, 400, nil},
		"a list in Connection": {[]string{"Connection: keep-alive\r\n", "Sec-WebSocket-Protocol: mine\r\n"}, 101, []string{"mine"}},
	} {
		for _, path := range []string{"/v1/ws", "/debug/echo"} {
			t.Run(name+" "+path, func(t *testing.T) {
				resp := in.askAs("", strings.Replace(offering(tc.lines...), "/v1/ws", path, 1))
				if got := resp.Header["Sec-Websocket-Protocol"]; resp.StatusCode != tc.status || strings.Join(got, ";") != strings.Join(tc.chosen, ";") {
					t.Errorf("%s, chosen %q", resp.Status, got)
				}
			})
		}
	}
}

// TestTokenAsSubprotocol: a token may be sent beside the subprotocol; the header precedes it, and
// it precedes the query.
func TestTokenAsSubprotocol(t *testing.T) {
	t.Parallel()
	in := start(t, withTokens).ready()
	good, bad := token(t, auth.Claims{Subject: "anna", Subscribe: []string{"news"}}), "bad.bad.bad"
	for name, tc := range map[string]struct {
		offer, header, query string
		welcome              bool
	}{
		"offered":             {offer: good, welcome: true},
		"a bad one":           {offer: bad},
		"before the query":    {offer: good, query: bad, welcome: true},
		"bad, before query":   {offer: bad, query: good},
		"behind the header":   {offer: bad, header: good, welcome: true},
		"behind a bad header": {offer: good, header: bad},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if tc.header != "" {
				header.Set("Authorization", "Bearer "+tc.header)
			}
			d := websocket.Dialer{NetDialContext: dialer.DialContext, Subprotocols: []string{"bearer." + tc.offer, "pushgate.v1"}}
			ws, resp, err := d.Dial("ws://"+in.Addr()+"/v1/ws?channels=news&token="+tc.query, header)
			if err != nil {
				t.Fatal(err)
			}
			c := &client{Conn: ws, t: t}
			defer c.Close()
			if got := c.Subprotocol(); got != "pushgate.v1" {
				t.Errorf("chosen %q", got)
			}
			for name, values := range resp.Header {
				if strings.Contains(strings.Join(values, ""), tc.offer) {
					t.Errorf("the token is in %s", name)
				}
			}
			if !tc.welcome {
				if code := c.closed(); code != 4001 {
					t.Errorf("closed with %d", code)
				}
				return
			}
			c.expect("welcome")
			c.expect("subscribed")
		})
	}
	// Whatever is no handshake has no subprotocols, and no token in them.
	resp := in.askAs("", get("/v1/poll?channels=news&wait=0", "Sec-WebSocket-Protocol: bearer."+good+"\r\n"))
	if resp.StatusCode != 401 {
		t.Errorf("a poll: %s", resp.Status)
	}
}

// TestTokenStaysOutOfTheLog: a token is not logged at any level, nor with a page's unknown offers.
func TestTokenStaysOutOfTheLog(t *testing.T) {
	t.Parallel()
	const secret = "bearer.eyJsecret.secret.secret"
	in := startLogged(t, slog.LevelDebug, func(c *gateway.Config) { withTokens(c); listPages(c); c.Shards = 1 })
	offers := []string{secret, secret + ", pushgate.v1", secret + ", a b"}
	for _, list := range append(offers, offers...) {
		in.askAs(namedPage, offering("Sec-WebSocket-Protocol: "+list+"\r\n"))
	}
	var text string
	eventually(t, "the ends are logged", func() bool {
		text = in.log.String()
		return strings.Count(text, "msg=closed") == 2*len(offers)
	})
	if strings.Contains(text, "secret") {
		t.Errorf("the log has the token: %s", text)
	}
	if n := strings.Count(text, "key=websocket.subprotocols"); n != 1 {
		t.Errorf("the key is named %d times: %s", n, text)
	}
}

func TestSubprotocolsAreValidated(t *testing.T) {
	for name, ok := range map[string]bool{"mine": true, "a.b-c_d": true, "": false, "a b": false, "a,b": false, "bearer.x": false, "a/b": false} {
		cfg := gateway.DefaultConfig()
		cfg.WebSocket.Subprotocols = []string{name}
		if err := cfg.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
