package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// eventSource is the request of a page's EventSource.
const eventSource = "GET /v1/sse?channels=a HTTP/1.1\r\nHost: test\r\nOrigin: https://app.example\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n\r\n"

// toldLater is a temporary rejection as an EventSource sees it.
type toldLater struct {
	retry int64
	bye   event
}

// later reads a response after which an EventSource reconnects by itself.
func later(t testing.TB, r *bufio.Reader) (told toldLater) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || !resp.Close {
		t.Fatalf("%s %v %s %v", resp.Status, resp.Header, body, err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a page of an allowed origin can't read it: %v", resp.Header)
	}
	var name string
	for line := range strings.Lines(string(body)) {
		switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field {
		case "retry":
			told.retry, err = strconv.ParseInt(value, 10, 64)
		case "event":
			name = value
		case "data":
			err = json.Unmarshal([]byte(value), &told.bye)
		}
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
	if name != "bye" || told.bye.Type != "bye" || told.bye.Message == "" || told.retry < 1 || told.retry != told.bye.ReconnectAfterMS {
		t.Errorf("told %s", body)
	}
	return told
}

// An EventSource gives up for good on any status but 200. It gets every temporary rejection as a
// stream, with a random reconnect delay; clients that don't request an event stream get the status.
func TestEventSourceIsToldLater(t *testing.T) {
	t.Parallel()
	page := func(c *gateway.Config) { c.Origins = []string{"https://app.example"} }
	// fill uses up the limit.
	for name, tc := range map[string]struct {
		change func(*gateway.Config)
		fill   func(in *instance)
		before string // on the connection, before the request
		code   string
		reason reasons.Reject
		status int
	}{
		"connections": {
			func(c *gateway.Config) { c.Limits.Connections = 1 }, func(in *instance) { in.subscribed("a") },
			"", "too_many_connections", reasons.RejectConnections, 503,
		},
		"one address": {
			func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 1 }, func(in *instance) { in.subscribed("a") },
			"", "too_many_from_address", reasons.RejectAddress, 503,
		},
		"one address behind a proxy": {
			func(c *gateway.Config) {
				c.Limits.ConnectionsPerAddress = 1
				c.Proxy.Trusted, c.Proxy.Protocol = []string{"127.0.0.0/8"}, string(proxy.Any)
			},
			func(in *instance) {
				in.raw(fromProxy + get("/v1/sse?channels=a"))
				eventually(in.t, "the address has a client", func() bool { return in.totals().subscriptions == 1 })
			},
			fromProxy, "too_many_from_address", reasons.RejectAddress, 503,
		},
		"accepts": {
			func(c *gateway.Config) { c.Limits.AcceptsPerSecond, c.Limits.AcceptsBurst = 1, 1 },
			func(in *instance) { in.useUp("accepts") }, "", "too_many_connects", reasons.RejectAcceptRate, 503,
		},
		"handshakes": {
			func(c *gateway.Config) { c.Limits.HandshakesPerSecond, c.Limits.HandshakesBurst = 1, 1 },
			func(in *instance) { in.useUp("handshakes") }, "", "too_many_handshakes", reasons.RejectHandshakeRate, 503,
		},
		"requests": {
			func(c *gateway.Config) { c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 1 }, func(*instance) {},
			"", "rate_limited", reasons.RejectMessageRate, 429,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.before != "" {
				gateway.InTheClear(t, gateway.ProxyHeader)
			}
			in := start(t, func(c *gateway.Config) { page(c); tc.change(c) }).ready()
			tc.fill(in)
			ask := func(request string) *bufio.Reader {
				c := in.raw(tc.before)
				r := bufio.NewReader(c)
				if tc.reason == reasons.RejectMessageRate {
					// Both at once, so that no token is added between them on a busy machine.
					io.WriteString(c, get("/v1/poll?channels=a&wait=0")+request)
					if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 204 {
						t.Fatal(resp, err)
					}
					return r
				}
				if tc.reason == reasons.RejectAddress && tc.before != "" {
					eventually(t, "the proxy's header is read", func() bool { return in.totals().connections >= 2 })
				}
				io.WriteString(c, request)
				return r
			}
			waits := make(map[int64]bool)
			for range 5 {
				told := later(t, ask(eventSource))
				if told.bye.Reason != tc.code || told.retry > gateway.RetrySeconds*1000 {
					t.Errorf("told %+v, want %s", told, tc.code)
				}
				waits[told.retry] = true
			}
			if len(waits) < 3 {
				t.Errorf("all are to come back after one of %v ms", waits)
			}
			resp, err := http.ReadResponse(ask(strings.Replace(eventSource, "text/event-stream", "*/*", 1)), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tc.status || !strings.Contains(string(body), tc.code) || resp.Header.Get("Retry-After") == "" {
				t.Errorf("a script got %s %v %s", resp.Status, resp.Header, body)
			}
			if n := in.totals().rejects[tc.reason]; n < 6 {
				t.Errorf("%d are counted", n)
			}
		})
	}
}

// useUp uses up a rate with other clients, continuously.
func (in *instance) useUp(what string) {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			c, err := dialer.Dial("tcp", in.Addr())
			if err != nil {
				continue // the gateway has ended
			}
			if what == "handshakes" {
				io.WriteString(c, get("/v1/sse?channels=a"))
				io.ReadFull(c, make([]byte, 1))
			}
			c.Close()
		}
	}()
	in.t.Cleanup(func() { close(stop); <-done })
	eventually(in.t, "the rate is used up", func() bool {
		n := in.totals().rejects
		return n[reasons.RejectAcceptRate]+n[reasons.RejectHandshakeRate] > 2
	})
}

// A gateway that is shutting down does so too, with a delay within drain.reconnect.
func TestDrainingGatewayTellsEventSource(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Origins = []string{"https://app.example"}
		c.Drain.Delay, c.Drain.Timeout, c.Drain.Reconnect = 0, time.Minute, 700*time.Millisecond
	}).ready()
	var waiting []net.Conn
	for range 30 {
		waiting = append(waiting, in.raw(""))
	}
	eventually(t, "they are in", func() bool { return in.totals().connections == 30 })
	in.stop()
	eventually(t, "all are sent away", in.Draining)
	told := 0
	for _, c := range waiting {
		io.WriteString(c, eventSource)
		r := bufio.NewReader(c)
		if _, err := r.Peek(1); err != nil {
			continue // it was closed just before
		}
		if l := later(t, r); l.bye.Reason != "draining" || l.retry > 700 {
			t.Errorf("told %+v", l)
		}
		told++
	}
	if told == 0 {
		t.Error("none was told")
	}
	if err := <-in.ended; err != nil {
		t.Error(err)
	}
}

// A permanent error keeps its status.
func TestEventSourceIsToldWhatIsFinal(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Origins = []string{"https://app.example"}; withTokens(c) }).ready()
	for path, want := range map[string]int{"/v1/sse?channels=a": 401, "/v1/sse?channels=a&token=x": 401, "/v1/sses": 404} {
		c := in.raw(strings.Replace(eventSource, "/v1/sse?channels=a", path, 1))
		if status, body := answerOf(t, c); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// An EventSource doesn't understand a bye, so the reconnect delay is also sent in a retry field, at
// the end and, in case there is none, at the beginning. Both differ from stream to stream.
func TestStreamsSayWhenToComeBack(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Drain.Reconnect = 700 * time.Millisecond }).ready()
	first := make(map[string]bool)
	var readers []*bufio.Reader
	for k := range 12 {
		s := in.events("/v1/sse?channels=a&format="+[]string{"json", "raw"}[k%2], "")
		line, err := s.r.ReadString('\n')
		ms, _ := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "retry:")))
		if err != nil || ms < gateway.RetryMS*2/3 || ms >= gateway.RetryMS*4/3 {
			t.Fatalf("a stream begins with %q, %v", line, err)
		}
		first[line] = true
		readers = append(readers, s.r)
	}
	if len(first) < 6 {
		t.Errorf("all are to wait for one of %v", first)
	}
	in.Rebalance(1, 0)
	for k, r := range readers {
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, last, ok := strings.Cut(string(rest), "retry: ")
		retry, last, _ := strings.Cut(last, "\n")
		ms, _ := strconv.Atoi(retry)
		bye := fmt.Sprintf("event: bye\ndata: {\"type\":\"bye\",\"reason\":\"rebalance\",\"reconnect_after_ms\":%d}\n\n", ms)
		if k%2 == 1 {
			bye = "" // bare payloads
		}
		if !ok || ms < 1 || ms > 700 || last != bye {
			t.Errorf("a stream ends with %q", rest)
		}
	}
}

// A token that may be good once its key is known is no reason to give up.
func TestEventSourceIsToldOfAPendingKey(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t, "new")
	in := start(t, func(c *gateway.Config) { keys.use(c); c.Origins = []string{"https://app.example"} }).ready()
	c := in.raw(strings.Replace(eventSource, "channels=a", "channels=room&token="+keys.token("new"), 1))
	if told := later(t, bufio.NewReader(c)); told.bye.Reason != "key_pending" {
		t.Errorf("told %+v", told)
	}
}
