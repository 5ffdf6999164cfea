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

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// outcome is the response to a request over a limit.
type outcome struct {
	status int
	code   string
	retry  string
}

// ask sends a request on a new connection.
func (in *instance) ask(request string) outcome {
	in.t.Helper()
	c := in.raw(request)
	defer c.Close()
	return readOutcome(in.t, bufio.NewReader(c))
}

func readOutcome(t testing.TB, r *bufio.Reader) outcome {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	o := outcome{status: resp.StatusCode, retry: resp.Header.Get("Retry-After")}
	if resp.StatusCode == 101 || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return o
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(string(body), `"code":"`); ok {
		o.code, _, _ = strings.Cut(rest, `"`)
	}
	return o
}

// Over the rate all get a response at once, with different delays.
func TestAcceptAndHandshakeRate(t *testing.T) {
	const burst = 5
	for name, test := range map[string]struct {
		change  func(*gateway.Config)
		request string
		status  int // within the rate
		code    string
		reason  reasons.Reject
	}{
		"accepts": {
			func(c *gateway.Config) { c.Limits.AcceptsPerSecond, c.Limits.AcceptsBurst = 1, burst },
			"GET /v1/poll?channels=a&wait=0 HTTP/1.1\r\nHost: a\r\n\r\n", 204, "too_many_connects", reasons.RejectAcceptRate,
		},
		"WebSockets": {
			func(c *gateway.Config) { c.Limits.HandshakesPerSecond, c.Limits.HandshakesBurst = 1, burst },
			upgradeHead, 101, "too_many_handshakes", reasons.RejectHandshakeRate,
		},
		"event streams": {
			func(c *gateway.Config) { c.Limits.HandshakesPerSecond, c.Limits.HandshakesBurst = 1, burst },
			"GET /v1/sse?channels=a HTTP/1.1\r\nHost: a\r\n\r\n", 200, "too_many_handshakes", reasons.RejectHandshakeRate,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.reason == reasons.RejectAcceptRate {
			}
			in := start(t, test.change).ready()
			begin := time.Now()
			within, over, waits := 0, 0, map[string]bool{}
			for range 40 {
				switch o := in.ask(test.request); {
				case o.status == test.status:
					within++
				case o.status == 503 && o.code == test.code:
					over++
					waits[o.retry] = true
				default:
					t.Fatalf("got %+v", o)
				}
			}
			if most := burst + 1 + int(time.Since(begin).Seconds()); within < burst || within > most {
				t.Errorf("%d of 40 were let in, want %d to %d", within, burst, most)
			}
			if len(waits) < 8 || waits[""] {
				t.Errorf("all are to come back after %v", waits)
			}
			if n := in.totals().rejects[test.reason]; n != uint64(over) {
				t.Errorf("%d counted, %d were turned away", n, over)
			}
		})
	}
}

// Other requests than handshakes are served whatever their rate.
func TestHandshakeRateIsForHandshakes(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.HandshakesPerSecond = 1 }).ready()
	for range 10 {
		if o := in.ask("GET /v1/poll?channels=a&wait=0 HTTP/1.1\r\nHost: a\r\n\r\n"); o.status/100 != 2 {
			t.Fatalf("a poll got %+v", o)
		}
	}
}

func TestMessageRate(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 5 }).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	pongs, errors := 0, 0
	begin := time.Now()
	for i := 0; errors <= gateway.MaxStrikes; i++ {
		c.write(fmt.Sprintf(`{"type":"ping","ref":%d}`, i))
		c.SetReadDeadline(time.Now().Add(patience))
		if errors == gateway.MaxStrikes {
			break
		}
		switch e := c.next(); {
		case e.Type == "pong":
			pongs++
		case e.Type == "error" && e.Code == "rate_limited" && string(e.Ref) == fmt.Sprint(i):
			errors++
		default:
			t.Fatalf("got %+v", e)
		}
	}
	// The handshake was the first of the five.
	if most := 5 + int(time.Since(begin).Seconds()); pongs < 4 || pongs > most {
		t.Errorf("%d pongs, want 4 to %d", pongs, most)
	}
	// One more exceeds it, unless a token was added just now.
	c.WriteMessage(websocket.TextMessage, []byte("{}"))
	c.WriteMessage(websocket.TextMessage, []byte("{}"))
	if code := c.closed(); code != websocket.ClosePolicyViolation {
		t.Errorf("closed with %d", code)
	}
	eventually(t, "it's counted", func() bool {
		st := in.totals()
		return st.rejects[reasons.RejectMessageRate] == gateway.MaxStrikes+1 && st.closes[reasons.CloseRate] == 1
	})
}

// Pings cost a response too.
func TestMessageRateHoldsForPings(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 5 }).ready()
	c := in.dial("/v1/ws?format=raw")
	pongs := 0
	c.SetPongHandler(func(string) error { pongs++; return nil })
	begin := time.Now()
	for range 60 {
		// The gateway may have closed before the last one.
		_ = c.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience))
	}
	if code := c.closed(); code != websocket.ClosePolicyViolation {
		t.Errorf("closed with %d", code)
	}
	// The handshake was the first of the five.
	if most := 5 + int(time.Since(begin).Seconds()); pongs < 4 || pongs > most {
		t.Errorf("%d pongs, want 4 to %d", pongs, most)
	}
}

// A client that rests has its allowance and its patience back.
func TestMessageRateForgives(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 100, 3 }).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	errors := 0
	for errors < 2*gateway.MaxStrikes {
		for range 6 {
			c.write(`{"type":"ping"}`)
		}
		for range 6 {
			if c.next().Type == "error" {
				errors++
			}
		}
		// The clock must move for the bucket to fill.
		time.Sleep(50 * time.Millisecond)
	}
}

func TestRequestRate(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 3 }).ready()
	c := in.raw("")
	r := bufio.NewReader(c)
	for i := range 10 {
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		o := readOutcome(t, r)
		if o.status == 200 {
			continue
		}
		if o.status != 429 || o.code != "rate_limited" || o.retry == "" || i < 3 {
			t.Fatalf("request %d got %+v", i, o)
		}
		return
	}
	t.Error("no request was over the rate")
}

func TestPublishRate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*gateway.Limits)
		others bool // are bounded with the first client
	}{
		"of one client":  {func(l *gateway.Limits) { l.PublishesPerSecond, l.PublishesBurst = 1, 3 }, false},
		"of all clients": {func(l *gateway.Limits) { l.TotalPublishesPerSecond = 3 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			in := start(t, func(c *gateway.Config) {
				c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}}
				test.change(&c.Limits)
			}).ready()
			first, second := in.dial("/v1/ws"), in.dial("/v1/ws")
			first.expect("welcome")
			second.expect("welcome")
			limited := 0
			for range 50 {
				first.write(`{"type":"publish","channel":"a","data":1}`)
			}
			for range 50 {
				switch e := first.next(); {
				case e.Type == "published":
				case e.Type == "error" && e.Code == "rate_limited":
					limited++
				default:
					t.Fatalf("got %+v", e)
				}
			}
			if limited < 30 || limited > 47 {
				t.Errorf("%d of 50 are over the rate", limited)
			}
			second.write(`{"type":"publish","channel":"a","data":1}`)
			o := in.ask(postHead("/v1/publish", `{"channel":"a","data":1}`))
			if e := second.next(); (e.Type == "error") != test.others {
				t.Errorf("another client got %+v", e)
			}
			if test.others && (o.status != 429 || o.code != "rate_limited" || o.retry == "") || !test.others && o.status != 200 {
				t.Errorf("a request got %+v", o)
			}
			if n := in.totals().rejects[reasons.RejectPublishRate]; n < uint64(limited) {
				t.Errorf("%d counted", n)
			}
		})
	}
}

func postHead(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// from opens a connection from a local address.
func (in *instance) from(local, send string) net.Conn {
	in.t.Helper()
	d := clientDialer{Dialer: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}}
	c, err := d.Dial("tcp", in.Addr())
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, send); err != nil {
		in.t.Fatal(err)
	}
	return c
}
