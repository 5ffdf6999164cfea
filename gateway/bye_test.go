package gateway_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Whatever the gateway closes a WebSocket for, the close text is the reason's
// word, the same as the metric's label, and a bye before it says the rest.
func TestEveryCloseHasItsWord(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		withTokens(c)
		quickBeat(c)
		c.Limits.HeadTimeout = 2 * time.Second
		c.Limits.MessageBytes = 1 << 10
	}).ready()
	all := token(t, auth.Claims{Subject: "a", Subscribe: []string{"**"}})
	narrow := token(t, auth.Claims{Subject: "a", Subscribe: []string{"mine"}})
	raw := func(b string) func(*client) {
		return func(c *client) { c.NetConn().Write([]byte(b)) }
	}
	for name, tc := range map[string]struct {
		query  string
		does   func(*client)
		reason reasons.Close
		code   int
		detail string
	}{
		"no token":    {"", nil, reasons.CloseToken, 4001, "token refused: missing"},
		"bad token":   {"?token=x", nil, reasons.CloseToken, 4001, "token refused: malformed"},
		"bad auth":    {"", func(c *client) { c.write(`{"type":"auth","token":"x"}`) }, reasons.CloseToken, 4001, "token refused: malformed"},
		"not allowed": {"?channels=news&token=" + narrow, nil, reasons.CloseForbidden, 4003, "the token does not allow the channel news"},
		"unmasked":    {"?token=" + all, raw("\x81\x02hi"), reasons.CloseProtocol, 1002, "frame from a client is not masked"},
		"bad UTF-8":   {"?token=" + all, raw(string(gateway.Frame(ws.OpText, "\xff"))), reasons.CloseBadData, 1007, "text is not UTF-8"},
		"too big":     {"?token=" + all, func(c *client) { c.write(strings.Repeat("x", 2<<10)) }, reasons.CloseTooBig, 1009, "message over the limit"},
		"binary":      {"?token=" + all, raw(string(gateway.Frame(ws.OpBinary, "x"))), reasons.CloseNotText, 1003, ""},
		"silent":      {"?token=" + all, func(c *client) { c.SetPingHandler(func(string) error { return nil }) }, reasons.CloseTimeout, 1001, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := in.dial("/v1/ws" + tc.query)
			c.t = t
			if tc.does != nil {
				tc.does(c)
			}
			var last event
			for {
				c.SetReadDeadline(time.Now().Add(patience))
				_, text, err := c.ReadMessage()
				var ce *websocket.CloseError
				if errors.As(err, &ce) {
					if ce.Code != tc.code || ce.Text != string(tc.reason) {
						t.Errorf("closed with %d %q, want %d %q", ce.Code, ce.Text, tc.code, tc.reason)
					}
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				last = event{}
				if err := json.Unmarshal(text, &last); err != nil {
					t.Fatal(err)
				}
			}
			if last.Type != "bye" || last.Reason != string(tc.reason) || last.ReconnectAfterMS < 1 || last.ReconnectAfterMS > gateway.RetryMS {
				t.Errorf("the last message is %+v", last)
			}
			if tc.detail == "" && last.Message != "" || !strings.HasPrefix(last.Message, tc.detail) {
				t.Errorf("it says %q, want %q", last.Message, tc.detail)
			}
			if in.metric(`gateway_closes_total{reason="`+string(tc.reason)+`"}`) < 1 {
				t.Error("the metric doesn't count it")
			}
		})
	}
}

// Bare payloads leave no room for a bye.
func TestNoByeAmongBarePayloads(t *testing.T) {
	in := start(t, nil).ready()
	c := in.dial("/v1/ws?format=raw")
	c.NetConn().Write([]byte("\x81\x02hi"))
	_, text, err := c.ReadMessage()
	var ce *websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != 1002 || ce.Text != string(reasons.CloseProtocol) {
		t.Errorf("got %q, %v", text, err)
	}
}
