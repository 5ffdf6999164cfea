package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// alive fails the test where the only shard's loop doesn't turn any more: its
// shutdown would wait for it for ever.
func (in *instance) alive() {
	in.t.Helper()
	timer := time.AfterFunc(patience, func() { panic("the loop of a shard hangs") })
	in.Turn()
	timer.Stop()
}

// stuff fills a client's buffers with pongs that it doesn't read until n bytes
// wait for it.
func (c *client) stuff(in *instance, n int) {
	c.t.Helper()
	ping := make([]byte, 125)
	for end := time.Now().Add(patience); int(in.totals().queueBytes) < n; {
		if time.Now().After(end) {
			c.t.Fatal("its pongs don't pile up")
		}
		c.SetWriteDeadline(time.Now().Add(patience))
		for range 20 {
			c.WriteControl(websocket.PingMessage, ping, time.Now().Add(patience))
		}
	}
}

// history puts entries of a size into a channel's stream and returns a position
// before them.
func (in *instance) history(channel string, entries, size int) (since string) {
	in.t.Helper()
	for i := range entries {
		entry(in.t, in.redis, channel, ago(100*time.Second-time.Duration(i)*time.Second), strings.Repeat("x", size))
	}
	return ago(200 * time.Second)
}

// A client that expects 100 Continue disconnects before it gets it: its slot isn't used any
// further.
func TestExpectContinueOfAClientThatIsGone(t *testing.T) {
	gateway.InTheClear(t, gateway.HeldLoops)
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.HeadTimeout = 500 * time.Millisecond }).ready()
	release := in.hold()
	const clients = 20
	for range clients {
		c, err := dialer.Dial("tcp", in.Addr())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "POST /v1/poll HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
		reset(c)
	}
	release()
	eventually(t, "all were accepted", func() bool { return in.totals().accepts >= clients })
	deadline := time.Now().Add(500*time.Millisecond + 3*gateway.Tick)
	eventually(t, "their deadline is over", func() bool { return in.Judged(deadline) })
	if k := in.Kept(); k != (gateway.Kept{}) || in.totals().connections != 0 {
		t.Errorf("%+v are left", k)
	}
}

// Gaps have no form among bare payloads. A client that collects many of them
// without reading must not leave a queue of nothing.
func TestGapsOfARawClient(t *testing.T) {
	t.Parallel()
	for name, collect := range map[string]func(in *instance) *client{
		"positions of another node": func(in *instance) *client {
			c := in.dialLazy("/v1/ws?format=raw&channels=a")
			eventually(in.t, "it is subscribed", func() bool { return in.totals().subscriptions == 1 })
			c.stuff(in, 1)
			for i := range 90 {
				c.write(fmt.Sprintf(`{"type":"subscribe","channel":"c%d","since":"~elsewhere-1"}`, i))
			}
			eventually(in.t, "all are told", func() bool {
				return in.Kept().Joins == 0 && in.totals().subscriptions == 91
			})
			return c
		},
		"messages dropped": func(in *instance) *client {
			var names []string
			for i := range 100 {
				names = append(names, fmt.Sprintf("lossy.%d", i))
			}
			c := in.dialLazy("/v1/ws?format=raw&channels=" + strings.Join(names, ","))
			eventually(in.t, "it is subscribed", func() bool { return in.totals().subscriptions == len(names) })
			payload := strings.Repeat("x", 600)
			for end := time.Now().Add(patience); in.totals().drops[reasons.DropOldest] < 300 && time.Now().Before(end); {
				for _, name := range names {
					in.redis.Publish(name, payload)
				}
			}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := start(t, func(c *gateway.Config) {
				c.Shards = 1
				c.Limits.QueueBytes = 64 << 10
				c.Channels = []gateway.ChannelRule{{Match: []string{"lossy.**"}, Slow: gateway.SlowDropOldest}}
			}).ready()
			c := collect(in)
			go io.Copy(io.Discard, c.NetConn())
			eventually(t, "it has all", func() bool { in.alive(); return in.totals().queueBytes == 0 })
		})
	}
}

// Pending output takes about as much memory as is counted, however small the pieces are.
func TestPongsTakeWhatIsCounted(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	before := gatewaytest.HeapInUse()
	pings := bytes.Repeat([]byte{0x89, 0x80, 0, 0, 0, 0}, 2000)
	const clients, each = 10, 200 << 10
	for n := range clients {
		c := in.dialLazy("/v1/ws").NetConn()
		for end := time.Now().Add(patience); in.totals().queueBytes < int64(n+1)*each; {
			c.SetWriteDeadline(end)
			read := in.totals().bytesIn + uint64(len(pings))
			if _, err := c.Write(pings); err != nil {
				t.Fatal(err)
			}
			// Nothing is on its way then that would take the client over its bound.
			eventually(t, "the pings are read", func() bool { return in.totals().bytesIn >= read })
		}
	}
	counted := in.totals().queueBytes
	if grown := gatewaytest.HeapInUse() - before; grown > 3*counted {
		t.Errorf("%d bytes are held, %d are counted", grown, counted)
	}
}

// A client closed for overload amid its history gets no more of it: not behind its close frame, and
// not above the bound.
func TestHistoryEndsWithItsClient(t *testing.T) {
	t.Parallel()
	in := startWith(t, redistest.Start(t), func(c *gateway.Config) {
		c.Shards = 1
		c.Limits.QueueBytes, c.Limits.TotalQueueBytes = 16<<20, 1<<20
	}, func(c *fanout.Config) { c.Ring.Bytes = 8 << 20 }).ready()
	first := in.subscribed("h")
	since := ""
	for n := range 60 {
		in.redis.Publish("h", strings.Repeat("x", 60_000))
		if e := first.expect("message"); n == 0 {
			since = e.ID
		}
	}
	c := in.dialLazy("/v1/ws")
	c.expect("welcome")
	c.write(fmt.Sprintf(`{"type":"subscribe","channel":"h","since":%q}`, since))
	eventually(t, "it is closed", func() bool { return in.totals().closes[reasons.CloseOverload] == 1 })
	if n := in.totals().queueBytes; n > 1<<20 {
		t.Errorf("%d bytes wait for it after its end", n)
	}
	c.NetConn().SetDeadline(time.Now().Add(patience))
	r, after := bufio.NewReader(c.NetConn()), -1 // frames behind the close
	for {
		h, err := ws.ReadHeader(r)
		if err == nil {
			_, err = io.CopyN(io.Discard, r, h.Length)
		}
		if err != nil {
			break
		}
		if h.OpCode == ws.OpClose || after >= 0 {
			after++
		}
	}
	if after != 0 {
		t.Errorf("%d frames behind the close frame", after)
	}
}

// Requested history may exceed limits.queue_bytes from the first message on.
func TestHistoryOfLargeMessages(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.QueueBytes = 64 << 10 }).ready()
	since := in.history("h", 10, 200_000)
	c := in.dialLazy("/v1/ws")
	c.expect("welcome")
	c.write(fmt.Sprintf(`{"type":"subscribe","channel":"h","since":%q}`, since))
	eventually(t, "it waits", func() bool { return in.totals().queueBytes > 64<<10 })
	c.expect("subscribed")
	c.expect("gap")
	for range 10 {
		c.expect("message")
	}
}

// Unread responses count against limits.total_queue_bytes, and are dropped first when they are the
// largest.
func TestAnswersCountAgainstTheTotal(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.TotalQueueBytes = 1 << 20 }).ready()
	innocent := in.lazy("light")
	for i := range 8 {
		channel := fmt.Sprintf("h%d", i) // the same messages would count once
		in.history(channel, 5, 60_000)
		io.WriteString(in.dialSmall(), get("/v1/poll?channels="+channel+"&wait=0&max=1000&cursor=0-0"))
	}
	// Each may be a quarter of the total.
	eventually(t, "there are too many", func() bool { return in.totals().closes[reasons.CloseOverload] >= 3 })
	if n := in.totals().queueBytes; n > 1<<20 {
		t.Errorf("%d bytes wait", n)
	}
	for range 8 {
		in.redis.Publish("light", `"`+strings.Repeat("x", 16<<10)+`"`)
	}
	for range 8 {
		innocent.expect("message")
	}
}

// A large response isn't cut while its client reads it steadily, though it takes longer than the
// idle and linger times.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"kept":     get("/v1/poll?channels=h&wait=0&max=1000&cursor=0-0"),
		"the last": get("/v1/poll?channels=h&wait=0&max=1000&cursor=0-0", "Connection: close\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.IdleTimeout = 3 * time.Second }).ready()
			in.history("h", 60, 60_000)
			c := in.dialSmall()
			io.WriteString(c, request)
			resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
			if err != nil {
				t.Fatal(err)
			}
			for got := int64(0); got < resp.ContentLength; {
				n, err := io.CopyN(io.Discard, resp.Body, min(60_000, resp.ContentLength-got))
				if got += n; err != nil {
					t.Fatalf("%d of %d bytes: %v, closes %v", got, resp.ContentLength, err, in.totals().closes)
				}
				time.Sleep(120 * time.Millisecond) // seven seconds in all
			}
		})
	}
}

// A response is no larger than a client can get, however many messages there are.
func TestAnswersFitTheTotal(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.TotalQueueBytes = 1 << 20 }).ready()
	in.history("h", 60, 60_000)
	p := in.poll(nil, "channels=h&wait=0&max=1000&cursor=0-0")
	for got := len(p.Messages); got < 60; got += len(p.Messages) {
		if p = in.poll(nil, "channels=h&wait=0&max=1000&cursor="+p.Cursor); len(p.Messages) == 0 || len(p.Gaps) > 0 {
			t.Fatalf("after %d messages: %d, gaps %v", got, len(p.Messages), p.Gaps)
		}
	}
	if p.More || in.totals().closes[reasons.CloseOverload] > 0 {
		t.Errorf("more: %v, closes %v", p.More, in.totals().closes)
	}
}
