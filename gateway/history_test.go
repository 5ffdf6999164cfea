package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/redistest"
)

// transports are the ways to request the newest messages.
var transports = []string{"WebSocket", "subscribe", "SSE", "GET", "POST"}

// follow has a client request the newest n of channels over a transport, from a position unless
// that is empty. next returns the received events: messages, and either subscribed for each channel
// or, for a poll, idle when there are no more for now.
func (in *instance) follow(transport string, n int, cursor string, channels ...string) (next func() event) {
	in.t.Helper()
	query := "channels=" + strings.Join(channels, ",") + "&history=" + strconv.Itoa(n)
	switch transport {
	case "WebSocket", "subscribe":
		path := "/v1/ws?" + query + "&cursor=" + url.QueryEscape(cursor)
		if transport == "subscribe" {
			path = "/v1/ws"
		}
		c := in.dial(path)
		c.t = in.t
		c.expect("welcome")
		for _, channel := range channels {
			if transport == "subscribe" {
				c.write(fmt.Sprintf(`{"type":"subscribe","channel":%q,"history":%d,"since":%q}`, channel, n, cursor))
			}
		}
		return c.next
	case "SSE":
		s := in.events("/v1/sse?"+query, cursor)
		return func() (m event) {
			if err := json.Unmarshal([]byte(s.next().data), &m); err != nil {
				in.t.Fatal(err)
			}
			return m
		}
	}
	var ready []event
	return func() (m event) {
		for len(ready) == 0 {
			var p polled
			if transport == "POST" {
				body, _ := json.Marshal(map[string]any{"channels": channels, "history": n, "cursor": cursor, "wait": 5, "max": 7})
				x := in.exchange(post("/v1/poll", string(body)), 0, "POST")
				if p.status = x.statuses[0]; p.status == 200 {
					if err := json.Unmarshal([]byte(x.bodies[0]), &p); err != nil {
						in.t.Fatal(err)
					}
				}
			} else {
				p = in.poll(nil, query+"&wait=5&max=7&cursor="+url.QueryEscape(cursor))
			}
			cursor = p.Cursor
			for _, text := range p.Messages {
				var one event
				if err := json.Unmarshal(text, &one); err != nil {
					in.t.Fatal(err)
				}
				ready = append(ready, one)
			}
			for _, channel := range p.Gaps {
				ready = append(ready, event{Type: "gap", Channel: channel})
			}
			if p.status == 204 || !p.More {
				ready = append(ready, event{Type: "idle"})
			}
		}
		m, ready = ready[0], ready[1:]
		return m
	}
}

// upTo is the decimals of from to n.
func upTo(from, n int) (list []string) {
	for i := max(from, 0); i < n; i++ {
		list = append(list, strconv.Itoa(i))
	}
	return list
}

// The newest messages of each channel come first, in order, then the live ones, on every transport:
// of a durable channel from its stream, of a plain one from the node's ring.
func TestHistory(t *testing.T) {
	t.Parallel()
	for _, ring := range []int{3, 128} {
		in := startWith(t, redistest.Start(t), nil, func(c *fanout.Config) { c.Ring.Messages = ring }).ready()
		durable(t, in.redis, "durable", 0, 30)
		durable(t, in.redis, "short", 0, 3)
		for k, transport := range transports {
			for _, n := range []int{1, 5, 20} {
				t.Run(fmt.Sprintf("ring of %d, %s, %d", ring, transport, n), func(t *testing.T) {
					plain, unused := fmt.Sprintf("plain.%d.%d", k, n), fmt.Sprintf("unused.%d.%d", k, n)
					keeper := in.subscribed(plain)
					for n := range 9 {
						in.redis.Publish(plain, strconv.Itoa(n))
						keeper.expect("message")
					}
					of := *in
					of.t = t
					next := of.follow(transport, n, "", "durable", plain, "short", unused)
					got := map[string][]string{}
					for begun, more := 0, 2; more > 0; {
						switch m := next(); {
						case m.Type == "message":
							got[m.Channel] = append(got[m.Channel], string(m.Data))
							if string(m.Data) == `"more"` {
								more--
							}
						case m.Type == "subscribed" || m.Type == "idle":
							begun++
							if begun == 4 || begun == 1 && m.Type == "idle" {
								in.redis.Publish(plain, `"more"`)
								in.redis.Publish(unused, `"more"`)
							}
						default:
							t.Fatalf("got %+v", m)
						}
					}
					for channel, want := range map[string][]string{
						"durable": upTo(30-n, 30), "short": upTo(3-n, 3), unused: {`"more"`},
						plain: append(upTo(9-min(n, ring), 9), `"more"`),
					} {
						if !slices.Equal(got[channel], want) {
							t.Errorf("%s: %v, want %v", channel, got[channel], want)
						}
					}
				})
			}
		}
	}
}

// A position takes precedence over a number: a client with a position gets all it missed, fewer or
// more than the newest n. This applies to the channels in the position.
func TestPositionGoesBeforeHistory(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	ids := durable(t, in.redis, "c", 0, 10)
	durable(t, in.redis, "d", 0, 10)
	var cursor message.Cursor
	at, err := message.ParsePosition(ids[1])
	if err != nil {
		t.Fatal(err)
	}
	cursor.Set("c", at)
	for _, transport := range transports {
		for name, tc := range map[string]struct {
			cursor   string
			channels []string
			c, d     []string
		}{
			"less than missed":   {ids[1], []string{"c"}, upTo(2, 10), nil},
			"more than missed":   {ids[8], []string{"c"}, upTo(9, 10), nil},
			"of one of channels": {cursor.String(), []string{"c", "d"}, upTo(2, 10), upTo(7, 10)},
		} {
			t.Run(transport+" "+name, func(t *testing.T) {
				of := *in
				of.t = t
				next := of.follow(transport, 3, tc.cursor, tc.channels...)
				got := map[string][]string{}
				for left := len(tc.c) + len(tc.d); left > 0; {
					switch m := next(); m.Type {
					case "message":
						got[m.Channel] = append(got[m.Channel], string(m.Data))
						left--
					case "gap":
						t.Fatalf("got %+v", m)
					}
				}
				if !slices.Equal(got["c"], tc.c) || !slices.Equal(got["d"], tc.d) {
					t.Errorf("got %v, want %v and %v", got, tc.c, tc.d)
				}
			})
		}
	}
}

// A client that is cut off between the confirmation and the past finds it again by
// the position that the confirmation has.
func TestCutBeforeHistory(t *testing.T) {
	t.Parallel()
	in := startWith(t, redistest.Start(t), nil, func(c *fanout.Config) { c.Ring.Messages = 6 }).ready()
	durable(t, in.redis, "durable", 0, 30)
	durable(t, in.redis, "whole", 0, 3)
	durable(t, in.redis, "mixed", 0, 10)
	keeper := in.subscribed("mixed", "plain")
	for n := range 4 {
		in.redis.Publish("plain", strconv.Itoa(n))
		in.redis.Publish("mixed", strconv.Itoa(10+n))
		keeper.expect("message")
		keeper.expect("message")
	}
	for channel, want := range map[string][]string{
		"durable": upTo(25, 30), "whole": upTo(0, 3), "plain": upTo(0, 4), "mixed": upTo(9, 14), "unused": nil,
	} {
		c := in.dial("/v1/ws?history=5&channels=" + channel)
		c.expect("welcome")
		from := c.expect("subscribed").ID
		for _, text := range want {
			if m := c.expect("message"); string(m.Data) != text {
				t.Errorf("%s: got %s, want %s", channel, m.Data, text)
			}
		}
		in.redis.Publish(channel, `"live"`)
		c.expect("message")
		again := in.dial("/v1/ws?channels=" + channel + "&cursor=" + from)
		again.expect("welcome")
		again.expect("subscribed")
		for _, text := range append(want, `"live"`) {
			if m := again.expect("message"); string(m.Data) != text {
				t.Errorf("%s: from %s before them: got %+v, want %s", channel, from, m, text)
			}
		}
	}
}

// A poll for the history of an unused channel gets an empty response at once.
func TestPollForHistoryOfNothing(t *testing.T) {
	in := start(t, nil).ready()
	p := in.poll(nil, "channels=unused&history=20&wait=55")
	if p.status != 204 || p.Cursor == "" {
		t.Fatalf("got %+v", p)
	}
	in.redis.Publish("unused", 1)
	if p := in.poll(nil, "channels=unused&history=20&wait=55&cursor="+p.Cursor); len(p.Messages) != 1 || len(p.Gaps) > 0 {
		t.Errorf("got %+v", p)
	}
}

// History needs the channel's rights, is bounded, and is the same for a repeated request.
func TestHistoryIsRefused(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	for _, n := range []string{"-1", "1001", "x", "1.5", "99999999999999999999"} {
		for _, path := range []string{"/v1/poll", "/v1/sse"} {
			if x := in.exchange(get(path+"?channels=c&history="+n), 0, "GET"); x.statuses[0] != 400 || !strings.Contains(x.bodies[0], "history") {
				t.Errorf("%s %s: %d %s", path, n, x.statuses[0], x.bodies[0])
			}
		}
		if n == "x" {
			continue
		}
		if x := in.exchange(post("/v1/poll", `{"channels":["c"],"history":`+n+`}`), 0, "POST"); x.statuses[0] != 400 || !strings.Contains(x.bodies[0], "history") {
			t.Errorf("%s: %d %s", n, x.statuses[0], x.bodies[0])
		}
		c := in.dial("/v1/ws")
		c.expect("welcome")
		c.write(`{"type":"subscribe","channel":"c","history":` + n + `}`)
		if e := c.expect("error"); !strings.Contains(e.Message, "history") {
			t.Errorf("%s: %+v", n, e)
		}
	}
	durable(t, in.redis, "c", 0, 3)
	c := in.subscribed("c")
	for range 2 {
		c.write(`{"type":"subscribe","channel":"c","history":2}`)
		c.expect("subscribed")
		for _, want := range upTo(1, 3) {
			if m := c.expect("message"); string(m.Data) != want {
				t.Errorf("got %s, want %s", m.Data, want)
			}
		}
	}

	locked := start(t, withTokens).ready()
	narrow := token(t, auth.Claims{Subject: "a", Subscribe: []string{"mine"}})
	for _, path := range []string{"/v1/poll", "/v1/sse"} {
		if x := locked.exchange(get(path+"?channels=c&history=5&token="+narrow), 0, "GET"); x.statuses[0] != 403 {
			t.Errorf("%s: %d %s", path, x.statuses[0], x.bodies[0])
		}
	}
	c = locked.dial("/v1/ws?token=" + narrow)
	c.expect("welcome")
	c.write(`{"type":"subscribe","channel":"c","history":5}`)
	if e := c.expect("error"); e.Code != "forbidden" {
		t.Errorf("got %+v", e)
	}
}

// Messages published while clients request the newest are neither missing behind these nor
// duplicated, on any transport.
func TestHistoryWhileMessagesCome(t *testing.T) {
	t.Parallel()
	const history, upTo = 20, 60 // messages of a channel
	for _, ring := range []int{8, 1 << 14} {
		in := startWith(t, redistest.Start(t), nil, func(c *fanout.Config) { c.Ring.Messages, c.Ring.Bytes = ring, 64<<20 }).ready()
		channels := []string{"durable"}
		if ring > history { // a ring that is passed over is a gap where there are plain messages
			channels = append(channels, "plain", "mixed")
		}
		keeper := in.subscribed(channels...)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { // until the clients are done
			for n := 0; ctx.Err() == nil; n++ {
				for _, channel := range channels {
					if channel == "durable" || channel == "mixed" && n%3 == 0 {
						durable(t, in.redis, channel, n, n+1)
					} else {
						in.redis.Publish(channel, n)
					}
				}
			}
		})
		running.Go(func() {
			for keeper.Conn.SetReadDeadline(time.Time{}); ; {
				if _, _, err := keeper.ReadMessage(); err != nil {
					return
				}
			}
		})
		eventually(t, "there is a past", func() bool { return in.totals().deliveries > uint64(history*len(channels)) })
		for _, transport := range transports {
			for k := range 8 {
				t.Run(fmt.Sprintf("ring of %d, %s, %d", ring, transport, k), func(t *testing.T) {
					of := *in
					of.t = t
					next := of.follow(transport, history, "", channels...)
					last, got := map[string]int{}, map[string]int{}
					for left := len(channels); left > 0; {
						m := next()
						if m.Type == "gap" {
							t.Fatalf("got %+v after %v", m, last)
						}
						if m.Type != "message" {
							continue
						}
						n, _ := strconv.Atoi(string(m.Data))
						if got[m.Channel] > 0 && n != last[m.Channel]+1 {
							t.Fatalf("%s: %d follows %d, message %d", m.Channel, n, last[m.Channel], got[m.Channel])
						}
						last[m.Channel] = n
						if got[m.Channel]++; got[m.Channel] == upTo {
							left--
						}
					}
				})
			}
		}
		stop()
		keeper.Close()
		running.Wait()
	}
}
