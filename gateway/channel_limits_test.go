package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A client that cycles through names is refused, on every transport; one that resubscribes to
// existing channels is not.
func TestNewChannelRate(t *testing.T) {
	t.Parallel()
	const most = 10
	cycle := func(t *testing.T, in *instance, name func(int) string) (refused int) {
		c := in.dial("/v1/ws")
		c.expect("welcome")
		for k := range 10 * most {
			c.write(fmt.Sprintf(`{"type":"subscribe","channel":%q}`, name(k)))
			switch e := c.next(); {
			case e.Type == "subscribed":
				c.write(fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, name(k)))
				c.expect("unsubscribed")
			case e.Type == "error" && e.Code == "rate_limited":
				refused++
			default:
				t.Fatalf("got %+v", e)
			}
		}
		return refused
	}
	slow := func(c *gateway.Config) { c.Limits.ChannelsPerConnection, c.Limits.NewChannelsPerSecond = most, 1 }
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		in := start(t, slow).ready()
		begin := time.Now()
		refused := cycle(t, in, func(k int) string { return fmt.Sprint("new.", k) })
		had, bound := 10*most-refused, gateway.ChannelBursts*most+1+int(time.Since(begin).Seconds())
		if had < gateway.ChannelBursts*most || had > bound {
			t.Errorf("it had %d new channels, want %d to %d", had, gateway.ChannelBursts*most, bound)
		}
		if n := in.metric("gateway_broker_channels"); n > float64(had) {
			t.Errorf("%v channels linger", n)
		}
		if n := in.metric(`gateway_rejects_total{reason="channel_rate"}`); n != float64(refused) {
			t.Errorf("%v counted, %d refused", n, refused)
		}
	})
	t.Run("there already", func(t *testing.T) {
		t.Parallel()
		in := start(t, slow).ready()
		in.subscribed("news")
		if refused := cycle(t, in, func(int) string { return "news" }); refused > 0 {
			t.Errorf("%d subscriptions were refused", refused)
		}
	})
	t.Run("polls", func(t *testing.T) {
		t.Parallel()
		in := start(t, slow).ready()
		c := in.raw("")
		r := bufio.NewReader(c)
		for round := 0; ; round++ {
			if round == 20 {
				t.Fatalf("%d polls for %d new channels each were answered", round, most)
			}
			names := ""
			for k := range most {
				names += fmt.Sprintf("p.%d.%d,", round, k)
			}
			io.WriteString(c, postHead("/v1/poll", `{"wait":0,"channels":["`+strings.ReplaceAll(strings.Trim(names, ","), ",", `","`)+`"]}`))
			o := readOutcome(t, r)
			if o.status/100 == 2 {
				continue
			}
			if o.status != 429 || o.code != "rate_limited" || o.retry == "" || round < gateway.ChannelBursts-1 {
				t.Errorf("poll %d got %+v", round, o)
			}
			break
		}
	})
}

// The totals of subscriptions and channels are bounded, on every transport, and a leaving client
// makes room.
func TestTotalsOfChannels(t *testing.T) {
	t.Parallel()
	for reason, change := range map[reasons.Reject]func(*gateway.Limits){
		reasons.RejectSubscriptions: func(l *gateway.Limits) { l.TotalSubscriptions = 3 },
		reasons.RejectTotalChannels: func(l *gateway.Limits) { l.TotalChannels = 3 },
	} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			in := start(t, func(c *gateway.Config) { c.Shards = 1; change(&c.Limits) }).ready()
			first := in.subscribed("a", "b", "c")
			second := in.dial("/v1/ws")
			second.expect("welcome")
			second.write(`{"type":"subscribe","channel":"d"}`)
			if e := second.expect("error"); e.Code != "too_many_channels" || e.Channel != "d" {
				t.Errorf("got %+v", e)
			}
			for _, request := range []string{
				"GET /v1/poll?channels=d&wait=0 HTTP/1.1\r\nHost: a\r\n\r\n",
				"GET /v1/sse?channels=d HTTP/1.1\r\nHost: a\r\n\r\n",
				postHead("/v1/poll", `{"wait":0,"channels":["d"]}`),
			} {
				if o := in.ask(request); o.status != 503 || o.code != "too_many_channels" || o.retry == "" {
					t.Errorf("%.20s got %+v", request, o)
				}
			}
			if n := in.metric(fmt.Sprintf("gateway_rejects_total{reason=%q}", reason)); n != 4 {
				t.Errorf("%v counted, want 4", n)
			}
			// An existing channel doesn't count as new, even over a lowered limit.
			if reason == reasons.RejectTotalChannels {
				in.reloadWith(func(c *gateway.Config) { c.Limits.TotalChannels = 2 })
				second.write(`{"type":"subscribe","channel":"a"}`)
				second.expect("subscribed")
				if o := in.ask("GET /v1/poll?channels=a&wait=0 HTTP/1.1\r\nHost: a\r\n\r\n"); o.status != 204 {
					t.Errorf("a poll of a channel that is there got %+v", o)
				}
				in.reloadWith(func(c *gateway.Config) { c.Limits.TotalChannels = 3 })
			}
			first.write(`{"type":"unsubscribe","channel":"b"}`)
			first.expect("unsubscribed")
			second.write(`{"type":"subscribe","channel":"d"}`)
			second.expect("subscribed")
		})
	}
}

// All frames that cost the gateway work count, even those without a reply.
func TestMessageRateHoldsForFrames(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string]string{
		"pongs":           strings.Repeat("\x8a\x80\x00\x00\x00\x00", 60),
		"empty fragments": "\x01\x80\x00\x00\x00\x00" + strings.Repeat("\x00\x80\x00\x00\x00\x00", 60*gateway.FramesPerMessage),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := start(t, func(c *gateway.Config) { c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 5 }).ready()
			c := in.dial("/v1/ws?format=raw")
			io.WriteString(c.NetConn(), frames) // the gateway may have closed before the last one
			if code := c.closed(); code != websocket.ClosePolicyViolation {
				t.Errorf("closed with %d", code)
			}
		})
	}
}
