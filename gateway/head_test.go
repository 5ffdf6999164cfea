package gateway_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/redistest"
)

const healthHead = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"

// untilClosed reads until the gateway ends the stream, and closes too; a reset is an error, since
// the client may lose the response.
func untilClosed(t testing.TB, c net.Conn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", all, err)
	}
	c.Close()
	return string(all)
}

// dialSmall connects with a receive buffer as small as the kernel allows, so
// that little is enough to make the gateway wait.
func (in *instance) dialSmall() net.Conn {
	in.t.Helper()
	c, err := smallDialer.Dial("tcp", in.Addr())
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

var smallDialer = &clientDialer{Dialer: net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
	raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) })
	return err
}}}

func TestLongHeads(t *testing.T) {
	in := start(t, nil)
	long := strings.Repeat("a", 64<<10)
	for name, tc := range map[string]struct {
		head   string
		status int
	}{
		"unfinished":        {"GET /v1/ws HTTP/1.1\r\nHost: test\r\nX-Long: " + long, 431},
		"whole":             {"GET /v1/ws HTTP/1.1\r\nHost: test\r\nX-Long: " + long + "\r\n\r\n", 431},
		"many lines":        {"GET /v1/ws HTTP/1.1\r\nHost: test\r\n" + strings.Repeat("X-Line: value\r\n", 5000) + "\r\n", 431},
		"just over":         {"GET /healthz HTTP/1.1\r\nHost: test\r\nX-Long: " + long[:16<<10] + "\r\n\r\n", 431},
		"long path":         {"GET /" + long + " HTTP/1.1\r\nHost: test\r\n\r\n", 431},
		"as long as it may": {"GET /healthz HTTP/1.1\r\nHost: test\r\nX-Long: " + long[:16000] + "\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := in.raw(tc.head)
			if status, body := answerOf(t, c); status != tc.status || tc.status != 200 && !strings.Contains(body, `"error"`) {
				t.Errorf("got %d %s, want %d", status, body, tc.status)
			}
			if tc.status != 200 {
				untilClosed(t, c)
			}
		})
	}
	if n := in.metric(`gateway_rejects_total{reason="head_too_long"}`); n != 5 {
		t.Errorf("%v heads counted as too long, want 5", n)
	}
}

func TestSlowHeads(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Limits.HeadTimeout, c.Limits.IdleTimeout = 400*time.Millisecond, time.Hour })
	t.Run("half a head", func(t *testing.T) {
		begin := time.Now()
		got := untilClosed(t, in.raw("GET /v1/ws HTTP/1.1\r\nHost: te"))
		if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("got %q", got)
		}
		if took := time.Since(begin); took < 300*time.Millisecond {
			t.Errorf("only %v were allowed", took)
		}
	})
	t.Run("a byte now and then", func(t *testing.T) {
		c := in.raw("")
		defer c.Close()
		ended := make(chan string)
		go func() {
			all, _ := io.ReadAll(c)
			ended <- string(all)
		}()
		trickle := time.NewTicker(20 * time.Millisecond)
		defer trickle.Stop()
		for i := 0; ; i++ {
			select {
			case got := <-ended:
				if !strings.HasPrefix(got, "HTTP/1.1 408 ") {
					t.Errorf("got %q", got)
				}
				return
			case <-trickle.C:
				if i < len(upgradeHead)-1 {
					c.Write([]byte{upgradeHead[i]})
				}
			}
		}
	})
	t.Run("nothing", func(t *testing.T) {
		if got := untilClosed(t, in.raw("")); got != "" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("half a second head", func(t *testing.T) {
		got := untilClosed(t, in.raw(healthHead+healthHead[:20]))
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "HTTP/1.1 408 ") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("half a second head later", func(t *testing.T) {
		c := in.raw(healthHead)
		if status, _ := answerOf(t, c); status != 200 {
			t.Errorf("got %d", status)
		}
		io.WriteString(c, healthHead[:20])
		if got := untilClosed(t, c); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("got %q", got)
		}
	})
	eventually(t, "no connection is left", func() bool { return in.totals().connections == 0 })
	if n := in.metric(`gateway_rejects_total{reason="head_timeout"}`); n != 5 {
		t.Errorf("%v timeouts counted, want 5", n)
	}
}

func TestIdleKeptConnection(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Limits.IdleTimeout = 300 * time.Millisecond })
	got := untilClosed(t, in.raw(healthHead))
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || strings.Count(got, "HTTP/1.1") != 1 {
		t.Errorf("got %q", got)
	}
}

func TestMalformedHeads(t *testing.T) {
	in := start(t, nil)
	for name, tc := range map[string]struct {
		head   string
		status int
	}{
		"garbage":          {"\x00\x01\x02\x03\r\n\r\n", 400},
		"words":            {"hello gateway, how are you?\r\n\r\n", 400},
		"no version":       {"GET /healthz\r\n\r\n", 400},
		"HTTP/3":           {"GET /healthz HTTP/3.0\r\nHost: test\r\n\r\n", 505},
		"HTTP/2 preface":   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"no host":          {"GET /healthz HTTP/1.1\r\n\r\n", 400},
		"two hosts":        {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"line feeds":       {"GET /healthz HTTP/1.1\nHost: test\n\n", 400},
		"folded":           {"GET /healthz HTTP/1.1\r\nHost: test\r\n X: y\r\n\r\n", 400},
		"space in name":    {"GET /healthz HTTP/1.1\r\nHost : test\r\n\r\n", 400},
		"length and coded": {"POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		"bad length":       {"POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n", 400},
		"websocket frame":  {"\x81\x82\x00\x00\x00\x00hi", 400},
	} {
		t.Run(name, func(t *testing.T) {
			got := untilClosed(t, in.raw(tc.head))
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", tc.status)) || !strings.Contains(got, `{"error":{"code":`) ||
				strings.Count(got, "Connection: close\r\n") != 1 {
				t.Errorf("got %q", got)
			}
		})
	}
	if n := in.metric(`gateway_rejects_total{reason="bad_request"}`); n != 13 {
		t.Errorf("%v bad requests counted, want 13", n)
	}
}

func TestTLSOnThePlainPort(t *testing.T) {
	in := start(t, nil)
	c := tls.Client(in.raw(""), &tls.Config{InsecureSkipVerify: true})
	var plain tls.RecordHeaderError
	if err := c.Handshake(); !errors.As(err, &plain) || !strings.HasPrefix(string(plain.RecordHeader[:]), "HTTP") {
		t.Errorf("the client was told %v, want an answer in HTTP", err)
	}
	c.NetConn().Close()
	eventually(t, "no connection is left", func() bool { return in.totals().connections == 0 })
	if n := in.metric(`gateway_rejects_total{reason="bad_request"}`); n != 1 {
		t.Errorf("%v bad requests counted", n)
	}
}

// expectAnswers reads the responses to requests for /healthz, in order.
func expectAnswers(t *testing.T, r *bufio.Reader, requests []*http.Request) {
	t.Helper()
	for i, request := range requests {
		resp, err := http.ReadResponse(r, request)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		want := "ok\n"
		if request.Method == "HEAD" {
			want = ""
		}
		if resp.StatusCode != 200 || string(body) != want || resp.ContentLength != 3 {
			t.Fatalf("answer %d to %s: %d %q, length %d", i, request.Method, resp.StatusCode, body, resp.ContentLength)
		}
	}
}

// alternate returns n requests, GET and HEAD in a pattern that a response out of order would break,
// and their bytes.
func alternate(n int) (requests []*http.Request, heads string) {
	var b strings.Builder
	for i := range n {
		method := "GET"
		if i%3 == 1 || i%7 == 2 {
			method = "HEAD"
		}
		requests = append(requests, &http.Request{Method: method})
		fmt.Fprintf(&b, "%s /healthz HTTP/1.1\r\nHost: test\r\n\r\n", method)
	}
	return requests, b.String()
}

func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	t.Run("in one write", func(t *testing.T) {
		requests, heads := alternate(200)
		c := in.raw(heads)
		r := bufio.NewReader(c)
		expectAnswers(t, r, requests)
		// The connection is still good, also for a handshake.
		io.WriteString(c, upgradeHead)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
			t.Errorf("handshake after them: %v %v", resp, err)
		}
	})
	t.Run("split anywhere", func(t *testing.T) {
		requests, heads := alternate(50)
		c := in.raw("")
		go func() {
			for i := 0; i < len(heads); i += 13 {
				io.WriteString(c, heads[i:min(i+13, len(heads))])
			}
		}()
		expectAnswers(t, bufio.NewReader(c), requests)
	})
	t.Run("read late", func(t *testing.T) {
		requests, heads := alternate(5000)
		c := in.dialSmall()
		if len(heads) < 4*gateway.MaxPipelined {
			t.Fatalf("%d bytes of requests are no more than a client may send ahead", len(heads))
		}
		go io.WriteString(c, heads)
		eventually(t, "the kernel refuses an answer", func() bool { return in.totals().queueBytes > 0 })
		expectAnswers(t, bufio.NewReader(c), requests)
		eventually(t, "nothing is queued", func() bool { st := in.totals(); return st.queueBytes == 0 && st.queues == 0 })
	})
	t.Run("never read", func(t *testing.T) {
		in := start(t, func(c *gateway.Config) { c.Limits.IdleTimeout = time.Second })
		_, heads := alternate(100_000)
		c := in.dialSmall()
		go io.WriteString(c, heads) // fails once the gateway has cut the connection
		eventually(t, "it is paused", func() bool { return in.InputBytes() >= gateway.MaxPipelined })
		most := int64(3 * gateway.MaxPipelined)
		if *gateway.TLSOfTests {
			most += 20 << 10 // the start of a record, and the entry for it
		}
		if n := in.InputBytes(); int64(n) > most {
			t.Errorf("%d bytes are kept of what it sent ahead", n)
		}
		eventually(t, "the client is cut off", func() bool { return in.metric(`gateway_closes_total{reason="slow"}`) == 1 })
	})
	t.Run("error in the middle", func(t *testing.T) {
		got := untilClosed(t, in.raw(healthHead+"nonsense\r\n\r\n"+healthHead))
		if strings.Count(got, "HTTP/1.1 200 ") != 1 || strings.Count(got, "HTTP/1.1 400 ") != 1 || strings.Index(got, " 400 ") < strings.Index(got, " 200 ") {
			t.Errorf("got %q", got)
		}
	})
}

func TestPlainRequests(t *testing.T) {
	in := start(t, nil).ready()
	for name, tc := range map[string]struct {
		request string
		want    []string // parts of the response
		not     string
		kept    bool
	}{
		"healthz":         {healthHead, []string{"HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n", "Cache-Control: no-store, no-transform\r\n", "Connection: keep-alive\r\n"}, "close", true},
		"query":           {strings.Replace(healthHead, "/healthz", "/healthz?from=lb", 1), []string{"HTTP/1.1 200 OK\r\n"}, "", true},
		"readyz":          {"GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n", []string{"HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n"}, "", true},
		"head":            {"HEAD /readyz HTTP/1.1\r\nHost: test\r\n\r\n", []string{"HTTP/1.1 200 OK\r\n", "Content-Length: 3\r\n"}, "ok\n", true},
		"close":           {"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", []string{"HTTP/1.1 200 OK\r\n", "Connection: close\r\n", "ok\n"}, "", false},
		"HTTP/1.0":        {"GET /healthz HTTP/1.0\r\n\r\n", []string{"HTTP/1.1 200 OK\r\n", "Connection: close\r\n"}, "", false},
		"post":            {"POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi", []string{"HTTP/1.1 405 ", "Allow: GET, HEAD\r\n", `"method_not_allowed"`}, "", false},
		"post to ws":      {"POST /v1/ws HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n", []string{"HTTP/1.1 405 ", "Allow: GET\r\n"}, "", false},
		"get with body":   {"GET /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 40\r\n\r\n" + healthHead, []string{"HTTP/1.1 200 OK\r\n", "Connection: close\r\n"}, "keep-alive", false},
		"unknown path":    {"GET /healthz/more HTTP/1.1\r\nHost: test\r\n\r\n", []string{"HTTP/1.1 404 ", `{"error":{"code":"not_found"`}, "", false},
		"head of unknown": {"HEAD /nothing HTTP/1.1\r\nHost: test\r\n\r\n", []string{"HTTP/1.1 404 "}, `{"error"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := in.raw(tc.request)
			var got string
			if tc.kept {
				io.WriteString(c, "GET /last HTTP/1.1\r\nHost: test\r\n\r\n")
				got = untilClosed(t, c)
				first, second, _ := strings.Cut(got, "HTTP/1.1 404 ")
				if second == "" {
					t.Errorf("the connection was not kept: %q", got)
				}
				got = first
			} else {
				got = untilClosed(t, c)
			}
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in %q", want, got)
				}
			}
			if strings.Count(got, "HTTP/1.1 ") != 1 || tc.not != "" && strings.Contains(got, tc.not) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// Clients may connect while Redis is down: they are served once it is up.
func TestRedisAbsentAtStart(t *testing.T) {
	redis := redistest.New(t)
	in := startOn(t, redis, nil)
	for _, base := range []string{in.Addr(), in.AdminAddr()} {
		if status, body := in.get("http://" + base + "/readyz"); status != 503 || strings.Count(body, "redis connection ") != 2 {
			t.Errorf("readyz on %s: %d %q, want 503 and both connections named", base, status, body)
		}
		if status, body := in.get("http://" + base + "/healthz"); status != 200 {
			t.Errorf("healthz on %s: %d %q", base, status, body)
		}
	}
	early := in.dial("/v1/ws?channels=a,b")
	early.expect("welcome")
	early.write(`{"type":"ping"}`)
	early.expect("pong") // and nothing is said to be subscribed
	gone := in.dial("/v1/ws?channels=a,b,c")
	gone.expect("welcome")
	gone.Close()
	eventually(t, "one client has gone", func() bool { return in.metric(`gateway_clients{transport="websocket"}`) == 1 })

	redis.Start()
	in.ready()
	early.expect("subscribed")
	early.expect("subscribed")
	redis.Publish("a", 1)
	if e := early.expect("message"); string(e.Data) != "1" {
		t.Errorf("got %+v", e)
	}
	redis.Publish("b", 2)
	if e := early.expect("message"); string(e.Data) != "2" {
		t.Errorf("got %+v", e)
	}
	if status, body := in.get("http://" + in.Addr() + "/readyz"); status != 200 {
		t.Errorf("readyz: %d %q", status, body)
	}
}

// A client that sends its request and closes its side at once gets its response.
func TestHalfClosedClient(t *testing.T) {
	in := start(t, nil)
	c := in.raw("")
	requests, heads := alternate(20)
	io.WriteString(c, heads)
	closeWrite(c)
	expectAnswers(t, bufio.NewReader(c), requests)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the answers: %v", err)
	}
}
