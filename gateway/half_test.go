package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// halfClosed sends bytes and ends its side.
func (in *instance) halfClosed(bytes string) net.Conn {
	in.t.Helper()
	c := in.raw(bytes)
	if err := closeWrite(c); err != nil {
		in.t.Fatal(err)
	}
	return c
}

// halved waits until n clients are known to have ended their side.
func (in *instance) halved(n int) {
	in.t.Helper()
	eventually(in.t, "the gateway knows that the client has ended its side", func() bool {
		return in.Kept().HalfClosed == n
	})
}

// TestHalfClosedClients: a client that closes its side after its request gets its response.
func TestHalfClosedClients(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Shards = 1
		c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}}
	}).ready()
	whole := func(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
		t.Helper()
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	atEnd := func(t *testing.T, r *bufio.Reader) {
		t.Helper()
		if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
			t.Errorf("behind it came %q, %v", rest, err)
		}
	}
	for name, request := range map[string]string{
		"poll":         get("/v1/poll?channels=half&wait=50"),
		"poll of 1.0":  "GET /v1/poll?channels=half&wait=50 HTTP/1.0\r\n\r\n",
		"poll by POST": post("/v1/poll", `{"channels":["half"],"wait":50}`),
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(in.halfClosed(request))
			in.halved(1)
			in.redis.Publish("half", `"x"`)
			if resp, body := whole(t, r, "GET"); resp.StatusCode != 200 || !resp.Close || !strings.Contains(body, `"data":"x"`) {
				t.Errorf("%s %v %s", resp.Status, resp.Header, body)
			}
			atEnd(t, r)
		})
	}
	t.Run("stream", func(t *testing.T) {
		c := in.halfClosed(get("/v1/sse?channels=half"))
		in.halved(1)
		lines := bufio.NewScanner(c)
		for n := range 3 {
			in.redis.Publish("half", fmt.Sprint(n))
			for lines.Scan() && !strings.Contains(lines.Text(), fmt.Sprintf(`"data":%d`, n)) {
			}
			if lines.Err() != nil {
				t.Fatal(lines.Err())
			}
		}
		c.Close()
		eventually(t, "it has left", func() bool {
			in.redis.Publish("half", "0") // bytes provoke the reset
			return in.metric("gateway_connections") == 0
		})
	})
	t.Run("publish", func(t *testing.T) {
		r := bufio.NewReader(in.halfClosed(post("/v1/publish", `{"channel":"a","data":1}`)))
		if resp, body := whole(t, r, "POST"); resp.StatusCode != 200 {
			t.Errorf("%s %s", resp.Status, body)
		}
		atEnd(t, r)
	})
	t.Run("one behind the other", func(t *testing.T) {
		r := bufio.NewReader(in.halfClosed(get("/healthz") + get("/v1/poll?channels=half&wait=50") + post("/v1/poll", pollNow) + get("/healthz") + "GET /half"))
		if resp, _ := whole(t, r, "GET"); resp.StatusCode != 200 {
			t.Errorf("%s", resp.Status)
		}
		in.halved(1)
		in.redis.Publish("half", `"x"`)
		for i, want := range []int{200, 204, 200} {
			if resp, _ := whole(t, r, "GET"); resp.StatusCode != want {
				t.Errorf("%d: %s", i, resp.Status)
			}
		}
		atEnd(t, r)
	})
	t.Run("a long answer", func(t *testing.T) {
		in.history("long", 1, 1_000_000)
		c := in.dialSmall()
		io.WriteString(c, get("/v1/poll?channels=long&wait=0&cursor=0-0"))
		eventually(t, "its answer waits", func() bool { return in.totals().queueBytes > 0 })
		closeWrite(c)
		in.halved(1)
		r := bufio.NewReader(c)
		if resp, body := whole(t, r, "GET"); resp.StatusCode != 200 || len(body) < 1_000_000 {
			t.Errorf("%s, %d bytes", resp.Status, len(body))
		}
		atEnd(t, r)
	})
	t.Run("a long last answer", func(t *testing.T) {
		c := in.dialSmall()
		io.WriteString(c, get("/v1/poll?channels=long&wait=0&cursor=0-0", "Connection: close\r\n"))
		eventually(t, "its answer waits", func() bool { return in.totals().queueBytes > 0 })
		closeWrite(c)
		if !*gateway.TLSOfTests { // records aren't opened any more, so there close_notify is nothing that the gateway knows
			in.halved(1)
		}
		r := bufio.NewReader(c)
		if resp, body := whole(t, r, "GET"); resp.StatusCode != 200 || len(body) < 1_000_000 {
			t.Errorf("%s, %d bytes", resp.Status, len(body))
		}
		atEnd(t, r)
	})
	t.Run("two at one place", func(t *testing.T) { // they share the response's bytes
		var readers []*bufio.Reader
		for range 2 {
			readers = append(readers, bufio.NewReader(in.halfClosed(get("/v1/poll?channels=half&wait=50"))))
		}
		in.halved(2)
		in.redis.Publish("half", `"x"`)
		for _, r := range readers {
			if resp, body := whole(t, r, "GET"); resp.StatusCode != 200 || !strings.Contains(body, `"data":"x"`) {
				t.Errorf("%s %s", resp.Status, body)
			}
			atEnd(t, r)
		}
	})
	t.Run("one that the operator closes", func(t *testing.T) {
		r := bufio.NewReader(in.halfClosed(get("/v1/poll?channels=half&wait=50")))
		in.halved(1)
		in.call("DELETE", "/v1/connections?transport=poll", "", nil)
		if resp, _ := whole(t, r, "GET"); resp.StatusCode != 503 {
			t.Errorf("%s", resp.Status)
		}
		atEnd(t, r)
	})
	eventually(t, "all have left", func() bool { return in.metric("gateway_connections") == 0 })
}

// TestGoneClientsAreNotHalfClosed: a client that is gone for good looks the same at first, but is
// freed at once.
func TestGoneClientsAreNotHalfClosed(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Heartbeat.Interval = time.Hour; c.Shards = 1 }).ready()
	for name, request := range map[string]string{
		"poll":        get("/v1/poll?channels=a&wait=55"),
		"stream":      get("/v1/sse?channels=a"),
		"raw stream":  get("/v1/sse?channels=a&format=raw"),
		"between two": get("/v1/poll?channels=a&wait=0"),
	} {
		t.Run(name, func(t *testing.T) {
			before := in.totals().closes[reasons.CloseByClient] + in.totals().closes[reasons.CloseReset]
			c := in.raw(request)
			if name == "poll" {
				eventually(t, "the poll waits", func() bool { return in.Kept().Parked == 1 })
			} else if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode/100 != 2 {
				t.Fatal(resp, err)
			}
			c.Close()
			eventually(t, "it has left", func() bool {
				n := in.totals()
				return n.closes[reasons.CloseByClient]+n.closes[reasons.CloseReset] == before+1 && in.metric("gateway_connections") == 0
			})
		})
	}
}
