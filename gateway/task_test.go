package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// leading is a connection whose first writes up to the end of a request's head are
// followed by more at once.
type leading struct {
	net.Conn
	more []byte
}

func (c *leading) Write(b []byte) (int, error) {
	if !bytes.HasSuffix(b, []byte("\r\n\r\n")) || c.more == nil {
		return c.Conn.Write(b)
	}
	_, err := c.Conn.Write(append(bytes.Clone(b), c.more...))
	c.more = nil
	return len(b), err
}

// A client of thousands of channels gets their confirmations in order, and the replies to its later
// messages after that, with its token in the request or in its first message.
func TestManyChannelsKeepTheirOrder(t *testing.T) {
	names := gateway.ManyChannels(gateway.Many)
	in := start(t, func(c *gateway.Config) { gateway.ManyAllowed(c); withTokens(c) }).ready()
	tok := token(t, auth.Claims{Subject: "u", Subscribe: []string{"room.*"}})
	dial := func(query string, messages ...string) *client {
		var more []byte
		for _, m := range messages {
			more = append(more, gateway.Frame(ws.OpText, m)...)
		}
		d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
			c, err := dialer.Dial(network, addr)
			return &leading{c, more}, err
		}}
		c, _, err := d.Dial("ws://"+in.Addr()+"/v1/ws?channels="+strings.Join(names, ",")+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &client{Conn: c, t: t}
	}
	first := dial("&token=" + tok)
	first.expect("welcome")
	for range names {
		first.expect("subscribed") // now they are live
	}
	last := names[gateway.Many-1]
	commands := []string{
		`{"type":"ping","ref":1}`,
		fmt.Sprintf(`{"type":"unsubscribe","channel":%q,"ref":2}`, last),
		fmt.Sprintf(`{"type":"subscribe","channel":%q,"ref":3}`, last),
	}
	for name, come := range map[string]func() *client{
		"with the request": func() *client { return dial("&token="+tok, commands...) },
		"in a first message": func() *client {
			return dial("", append([]string{fmt.Sprintf(`{"type":"auth","token":%q}`, tok)}, commands...)...)
		},
	} {
		c := come()
		c.expect("welcome")
		for _, want := range names {
			if e := c.expect("subscribed"); e.Channel != want {
				t.Fatalf("%s: got %+v in place of %s", name, e, want)
			}
		}
		for k, want := range []string{"pong", "unsubscribed", "subscribed"} {
			if e := c.expect(want); string(e.Ref) != fmt.Sprint(k+1) {
				t.Errorf("%s: got %+v", name, e)
			}
		}
		for _, want := range []string{names[1], last} {
			in.redis.Publish(want, "1")
			if e := c.expect("message"); e.Channel != want {
				t.Errorf("%s: got %+v", name, e)
			}
		}
		c.write(`{"type":"ping"}`) // it's read again
		c.expect("pong")
	}
	raw := dial("&format=raw&token=" + tok) // nothing is sent to it meanwhile
	eventually(t, "it has its channels", func() bool {
		k := in.Kept()
		return k.Tasks == 0 && k.Subscriptions == 4*gateway.Many
	})
	raw.write(fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, last))
	eventually(t, "it is read again", func() bool {
		return in.totals().subscriptions == 4*gateway.Many-1
	})
	eventually(t, "nothing is left to do", func() bool {
		return in.Kept().Tasks == 0 && in.InputBytes() == 0
	})
}

// Confirmations of one request don't make a client slow.
func TestConfirmationsOfOneRequestAreNoBurden(t *testing.T) {
	const least = 4 << 10
	in := start(t, func(c *gateway.Config) { gateway.ManyAllowed(c); c.Limits.QueueBytes = least }).ready()
	for _, request := range []string{"sse", "websocket"} {
		names := gateway.ManyChannels(gateway.Many)
		for i := range names {
			names[i] = request + "." + names[i]
		}
		for _, what := range []string{"new", "live"} {
			c, err := smallDialer.Dial("tcp", in.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write([]byte(gateway.AskFor(names)[request])); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it has its channels", func() bool {
				k := in.Kept()
				return k.Subscriptions == gateway.Many && k.Joins == 0
			})
			got := make([]byte, 0, 1<<20)
			buf := make([]byte, 64<<10)
			for bytes.Count(got, []byte(`"type":"subscribed"`)) < gateway.Many {
				n, err := c.Read(buf)
				if got = append(got, buf[:n]...); err != nil {
					t.Fatalf("%s, %s channels: %d bytes, %v", request, what, len(got), err)
				}
			}
			c.Close()
			eventually(t, "it is gone", func() bool { return in.Kept().Subscriptions == 0 })
		}
	}
}

// The response to a poll of thousands of channels is gathered in slices. It has each channel once:
// its messages and its position.
func TestPollsOfManyChannelsAreAnsweredInSlices(t *testing.T) {
	in := start(t, gateway.ManyAllowed).ready()
	names := gateway.ManyChannels(gateway.Many)
	post := func(cursor string, wait float64) polled {
		body, err := json.Marshal(map[string]any{"channels": names, "cursor": cursor, "wait": wait, "max": gateway.MaxMessages})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := gatewaytest.Once.Post("http://"+in.Addr()+"/v1/poll", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return readPolled(t, resp)
	}
	first := post("", 0)
	if first.status != http.StatusNoContent {
		t.Fatalf("got %+v", first)
	}
	const messages = 300
	for n := range messages {
		in.redis.Publish(names[n*gateway.Many/messages], fmt.Sprint(n))
	}
	cursor, got := first.Cursor, make(map[string]bool)
	for len(got) < messages {
		p := post(cursor, 50)
		for _, m := range p.data(t) {
			if got[m] {
				t.Fatalf("%s came twice", m)
			}
			got[m] = true
		}
		if len(p.Gaps) > 0 {
			t.Fatalf("gaps in %v", p.Gaps)
		}
		cursor = p.Cursor
	}
	if p := post(cursor, 0); p.status != http.StatusNoContent || len(p.Cursor) == 0 {
		t.Errorf("got %+v after all", p)
	}
}
