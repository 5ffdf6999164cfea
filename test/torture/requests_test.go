package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// head returns a request's head. Some are wrong in one place, or unusual.
func (c *client) head(method, target string, lines ...string) []byte {
	version := "HTTP/1.1"
	if chance(c.random, 2) {
		version = pick(c.random, "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "")
	}
	host := "Host: gateway.example"
	if chance(c.random, 1) {
		host = pick(c.random, "Host: ", "Host: a b", "Host: a\r\nHost: b", "X-None: 1")
	}
	lines = append([]string{method + " " + target + " " + version, host}, lines...)
	if c.jwt {
		if t := c.drawToken(c.random); chance(c.random, 95) {
			lines = append(lines, "Authorization: Bearer "+t)
		}
	}
	for range c.random.IntN(3) {
		lines = append(lines, pick(c.random, "Origin: http://good.example", "Origin: https://www.example.com", "Connection: keep-alive",
			"Expect: 100-continue", "X-Forwarded-For: 10.0.0.1", "Cookie: "+strings.Repeat("c", c.random.IntN(3000)),
			"Accept-Encoding: gzip", "Last-Event-ID: "+c.position(), "Accept: */*"))
	}
	if chance(c.random, 6) {
		lines = append(lines, pick(c.random, "Origin: https://bad.example", "Connection: close", "Expect: 200-ok", "X: y\r\n folded", "Bad Name: x", "X:\x01"))
	}
	b := []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
	switch {
	case chance(c.random, 2):
		b[c.random.IntN(len(b))] ^= 1 << c.random.IntN(8)
	case chance(c.random, 1):
		b = []byte(strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	return b
}

// get returns the head of a GET.
func (c *client) get(target string, lines ...string) []byte { return c.head("GET", target, lines...) }

// query returns parameters of a subscription.
func (c *client) query(most int) url.Values {
	q := url.Values{}
	var channels []string
	for range c.random.IntN(most + 1) {
		channels = append(channels, noiseChannel(c.random))
	}
	if chance(c.random, 4) {
		channels = append(channels, pick(c.random, "", "a b", "ä", strings.Repeat("n", 201), "*", "other.a"))
	}
	if len(channels) > 0 {
		q.Set("channels", strings.Join(channels, ","))
	}
	if chance(c.random, 40) {
		q.Set(pick(c.random, "cursor", "since", "lastEventId"), c.position())
	}
	if chance(c.random, 25) {
		q.Set("history", pick(c.random, "1", "20", "1000", "-1", "x", "99999999999"))
	}
	if chance(c.random, 10) {
		q.Set("format", pick(c.random, "json", "raw", "xml"))
	}
	return q
}

// sseTarget returns the request target of an event stream.
func (c *client) sseTarget() string { return "/v1/sse?" + c.query(5).Encode() }

// pollLife polls for a while over one connection.
func (c *client) pollLife(ctx context.Context, w *wire) {
	for range 1 + c.random.IntN(6) {
		most := 4
		if chance(c.random, 10) {
			most = 300
		}
		q := c.query(most)
		q.Set("wait", pick(c.random, "0", "0", "1", "25", "99", "x"))
		if chance(c.random, 40) {
			q.Set("max", pick(c.random, "1", "10", "1000", "0"))
		}
		b := c.get("/v1/poll?" + q.Encode())
		if chance(c.random, 50) {
			b = c.post("/v1/poll", c.pollBody(q))
		}
		if !c.send(w, b) {
			return
		}
		if chance(c.random, 70) { // else the next one is pipelined
			c.linger(ctx, w)
		}
	}
}

// pollBody returns the parameters as JSON.
func (c *client) pollBody(q url.Values) []byte {
	m := map[string]any{"wait": pick(c.random, 0, 0, 1, 25)}
	if names := q.Get("channels"); names != "" {
		m["channels"] = strings.Split(names, ",")
	}
	for _, key := range []string{"cursor", "since", "format"} {
		if q.Has(key) {
			m[key] = q.Get(key)
		}
	}
	switch c.random.IntN(12) {
	case 0:
		m["max"] = 5
	case 1:
		m["unknown"] = nil
	case 2:
		m["channels"] = 7
	case 3:
		m["token"] = c.drawToken(c.random)
	}
	b, _ := json.Marshal(m)
	return b
}

// post returns a request with a body, in one of the framings that there are, some
// of which are wrong.
func (c *client) post(target string, body []byte) []byte {
	if chance(c.random, 6) && len(body) > 0 {
		body = append([]byte(nil), body...)
		body[c.random.IntN(len(body))] ^= 1 << c.random.IntN(8)
	}
	if chance(c.random, 5) {
		body = append(body, strings.Repeat(" ", c.random.IntN(100<<10))...)
	}
	switch n := c.random.IntN(20); {
	case n < 12:
		return append(c.head("POST", target, fmt.Sprint("Content-Length: ", len(body))), body...)
	case n < 17:
		b := c.head("POST", target, "Transfer-Encoding: chunked")
		for len(body) > 0 {
			k := 1 + c.random.IntN(len(body))
			b = fmt.Appendf(b, "%x%s\r\n", k, pick(c.random, "", "", ";x=y"))
			b = append(append(b, body[:k]...), "\r\n"...)
			body = body[k:]
		}
		return append(b, pick(c.random, "0\r\n\r\n", "0\r\nTrailer: x\r\n\r\n", "0\r\n\r\n", "zz\r\n")...)
	case n == 17:
		return append(c.head("POST", target, fmt.Sprint("Content-Length: ", len(body)), "Transfer-Encoding: chunked"), body...)
	case n == 18:
		return append(c.head("POST", target, fmt.Sprint("Content-Length: ", len(body)+1+c.random.IntN(100))), body...)
	default:
		return append(c.head("POST", target, "Content-Length: "+pick(c.random, "-1", "x", "99999999999999999999", "1, 1")), body...)
	}
}

// requestLife makes requests of all kinds, some of them pipelined.
func (c *client) requestLife(ctx context.Context, w *wire) {
	for range 1 + c.random.IntN(12) {
		if !c.send(w, c.request()) {
			return
		}
		if chance(c.random, 50) {
			c.linger(ctx, w)
		}
	}
}

// request returns any one.
func (c *client) request() []byte {
	target := pick(c.random, "/", "/healthz", "/readyz", "/v1/poll?channels=noise.plain.1&wait=0", "/v1/sse?channels=noise.plain.1", "/v1/ws", "/v1/publish",
		"/debug/echo", "/nothing", "*", "//v1//poll/", "/%", "http://a/healthz", "/"+strings.Repeat("p", c.random.IntN(9000)), "", "/healthz?\x00")
	switch n := c.random.IntN(20); {
	case n < 8:
		return c.get(target)
	case n < 14:
		return c.publish()
	case n < 16:
		return c.head(pick(c.random, "HEAD", "OPTIONS", "PUT", "DELETE", "CONNECT", "get", "G@T", ""), target)
	case n == 16:
		return c.head("OPTIONS", "/v1/poll", "Origin: http://good.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
	case n == 17:
		return []byte(strings.Repeat("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 1+c.random.IntN(300)))
	case n == 18:
		return []byte(pick(c.random, "\r\n\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "\x16\x03\x01\x02\x00", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	default:
		return c.bytes(c.random.IntN(200))
	}
}

// publish returns a publish over HTTP.
func (c *client) publish() []byte {
	m := map[string]any{"channel": noiseChannel(c.random), "data": map[string]any{"n": c.random.IntN(100), "at": strings.Repeat("p", c.random.IntN(2000))}}
	switch c.random.IntN(8) {
	case 0:
		delete(m, "data")
		m["data_base64"] = pick(c.random, "AAEC", "HjEtMR5oZWxsbw==", "=", "")
	case 1:
		m["durable"], m["idempotency_key"] = true, fmt.Sprint("key-", c.random.IntN(4))
	case 2:
		m["channel"] = pick(c.random, "other.a", "", "a b", durableA)
	case 3:
		m["data"] = strings.Repeat("x", c.random.IntN(150<<10))
	}
	b, _ := json.Marshal(m)
	return c.post("/v1/publish", b)
}

// watchHealth polls /healthz until stop is called.
func (r *round) watchHealth() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with stop, which waits for it
		defer close(done)
		for ctx.Err() == nil {
			run, begun := r.gateway.runs.Load(), time.Now()
			status, _, err := gatewaytest.Request("GET", "http://"+r.gateway.Public+"/healthz", "")
			took := time.Since(begun)
			if run%2 == 1 && run == r.gateway.runs.Load() && (err != nil || took > slowest || status != 200 && status != 503) {
				r.fault("/healthz: %d %v after %v", status, err, took)
			}
			pause(ctx, 100*time.Millisecond)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
