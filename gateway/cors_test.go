package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

const (
	namedPage   = "https://app.example"
	patternPage = "https://a.example.org"
	foreignPage = "https://evil.example"
)

func listPages(c *gateway.Config) { c.Origins = []string{namedPage, "https://*.example.org"} }

// askAs sends the start of a request by a page of origin, and returns the head of the response.
func (in *instance) askAs(origin, request string) *http.Response {
	in.t.Helper()
	if origin != "" {
		line, rest, _ := strings.Cut(request, "\r\n")
		request = line + "\r\nOrigin: " + origin + "\r\n" + rest
	}
	c := in.raw(request)
	defer c.Close()
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		in.t.Fatalf("%.200q: %v", request, err)
	}
	return resp
}

// checkPage fails the test unless a browser lets a page of origin read resp:
// exactly one header says so, by name where the operator names it.
func checkPage(t testing.TB, resp *http.Response, origin string) {
	t.Helper()
	want := map[string][]string{"Access-Control-Allow-Origin": nil, "Access-Control-Allow-Credentials": nil, "Vary": nil, "Access-Control-Expose-Headers": nil}
	if origin == namedPage || origin == patternPage {
		want["Access-Control-Allow-Origin"] = []string{"*"}
		want["Access-Control-Expose-Headers"] = []string{"Poll-Cursor, Retry-After"}
	}
	if origin == namedPage {
		want["Access-Control-Allow-Origin"] = []string{namedPage}
		want["Access-Control-Allow-Credentials"] = []string{"true"}
		want["Vary"] = []string{"Origin"}
	}
	for name, values := range want {
		if got := resp.Header[name]; !slices.Equal(got, values) {
			t.Errorf("%s, for %q: %s is %q, want %q", resp.Status, origin, name, got, values)
		}
	}
	if resp.StatusCode != 101 && !slices.Equal(resp.Header["Cache-Control"], []string{"no-store, no-transform"}) {
		t.Errorf("%s: %v", resp.Status, resp.Header)
	}
}

func preflight(path string, headers ...string) string {
	return strings.Replace(get(path, append(headers, "Access-Control-Request-Method: POST\r\n")...), "GET", "OPTIONS", 1)
}

// TestPagesReadEveryAnswer: a response that a page may not read is a network error to it.
func TestPagesReadEveryAnswer(t *testing.T) {
	t.Parallel()
	tokens := func(c *gateway.Config) { listPages(c); withTokens(c) }
	hurried := func(c *gateway.Config) { listPages(c); c.Limits.HeadTimeout = 3 * time.Second }
	for name, tc := range map[string]struct {
		change  func(*gateway.Config)
		request string
		status  int
	}{
		"poll":                {listPages, get("/v1/poll?channels=a&wait=0"), 204},
		"poll by POST":        {listPages, post("/v1/poll", pollNow), 204},
		"HEAD of a poll":      {listPages, strings.Replace(get("/v1/poll?channels=a"), "GET", "HEAD", 1), 200},
		"stream":              {listPages, get("/v1/sse?channels=a"), 200},
		"HEAD of a stream":    {listPages, strings.Replace(get("/v1/sse?channels=a"), "GET", "HEAD", 1), 200},
		"health":              {listPages, get("/healthz"), 200},
		"readiness":           {listPages, get("/readyz"), 200},
		"no channels":         {listPages, get("/v1/poll"), 400},
		"bad body":            {listPages, post("/v1/poll", "{"), 400},
		"publish forbidden":   {listPages, post("/v1/publish", `{"channel":"a","data":1}`), 403},
		"body too large":      {listPages, post("/v1/publish", strings.Repeat("x", 70<<10)), 413},
		"no path":             {listPages, get("/v1/nothing"), 404},
		"wrong method":        {listPages, post("/v1/sse", ""), 405},
		"no WebSocket":        {listPages, get("/v1/ws"), 426},
		"bad key":             {listPages, strings.Replace(upgradeHead, "Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x", 1), 400},
		"no token":            {tokens, get("/v1/poll?channels=a"), 401},
		"bad token":           {tokens, post("/v1/poll", `{"channels":["a"],"token":"x"}`), 401},
		"malformed":           {listPages, get("/v1/poll", "Bad Header: x\r\n"), 400},
		"malformed before it": {listPages, strings.Replace(get("/v1/poll"), " HTTP/1.1", "  HTTP/1.1", 1), 400},
		"too long a head":     {listPages, get("/v1/poll", "X: "+strings.Repeat("x", 17<<10)+"\r\n"), 431},
		"too long a line":     {listPages, get("/v1/poll?channels=" + strings.Repeat("x", 17<<10)), 431},
		"slow head":           {hurried, "GET /v1/poll HTTP/1.1\r\nHost: test\r\n", 408},
		"slow body":           {hurried, "POST /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n{", 408},
		"handshakes":          {func(c *gateway.Config) { listPages(c); c.Limits.HandshakesPerSecond = 1 }, get("/v1/sse?channels=a"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "too long a line" { // the page is named behind it
				gateway.InTheClear(t, gateway.MoreThanARecord)
			}
			in := start(t, tc.change).ready()
			for _, origin := range []string{namedPage, patternPage, ""} {
				resp := in.askAs(origin, tc.request)
				if resp.StatusCode != tc.status && tc.status != 0 {
					t.Errorf("%q: %s, want %d", origin, resp.Status, tc.status)
				}
				checkPage(t, resp, origin)
			}
			checkPage(t, in.askAs(foreignPage, tc.request), foreignPage)
		})
	}
}

// A connection is kept, and each response on it is for the requesting page.
func TestPagesShareConnections(t *testing.T) {
	t.Parallel()
	in := start(t, listPages).ready()
	c := in.raw("")
	r := bufio.NewReader(c)
	for _, origin := range []string{namedPage, patternPage, "", namedPage, "", patternPage} {
		line := ""
		if origin != "" {
			line = "Origin: " + origin + "\r\n"
		}
		io.WriteString(c, get("/v1/poll?channels=a&wait=0", line))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkPage(t, resp, origin)
	}
}

// Polls at the same position share a response, but not with other pages.
func TestParkedPollsOfPages(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { listPages(c); c.Shards = 1 }).ready()
	polls := make(map[string]net.Conn)
	for _, origin := range []string{namedPage, patternPage, ""} {
		line := ""
		if origin != "" {
			line = "Origin: " + origin + "\r\n"
		}
		polls[origin] = in.raw(get("/v1/poll?channels=a&wait=50", line))
	}
	eventually(t, "three polls wait", func() bool {
		return in.Kept().Parked == len(polls)
	})
	in.redis.Publish("a", "1")
	for origin, c := range polls {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if checkPage(t, resp, origin); resp.StatusCode != 200 {
			t.Errorf("%q: %s", origin, resp.Status)
		}
	}
}

// TestPreflights: a browser sends a preflight before a token or JSON, and its response must not
// depend on a limit.
func TestPreflights(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		listPages(c)
		withTokens(c)
		c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 1
		c.Limits.HandshakesPerSecond, c.Limits.HandshakesBurst = 1, 1
	}).ready()
	for _, path := range []string{"/v1/poll", "/v1/sse", "/v1/publish", "/healthz", "/v1/nothing"} {
		for _, origin := range []string{namedPage, patternPage} {
			resp := in.askAs(origin, preflight(path, "Access-Control-Request-Headers: authorization,traceparent\r\n"))
			checkPage(t, resp, origin)
			allowed := strings.Split(strings.ToLower(resp.Header.Get("Access-Control-Allow-Headers")), ", ")
			for _, name := range []string{"accept", "authorization", "cache-control", "content-type", "last-event-id", "x-requested-with"} {
				if !slices.Contains(allowed, name) {
					t.Errorf("%s may not be sent: %v", name, resp.Header)
				}
			}
			if resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "traceparent") ||
				resp.Header.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST" || resp.Header["Access-Control-Allow-Private-Network"] != nil {
				t.Errorf("%s: %s %v", path, resp.Status, resp.Header)
			}
		}
	}
	resp := in.askAs(namedPage, preflight("/v1/poll", "Access-Control-Request-Private-Network: true\r\n"))
	if resp.Header.Get("Access-Control-Allow-Private-Network") != "true" {
		t.Errorf("private network: %v", resp.Header)
	}
	// Errors are reported in response to the request, not to its preflight.
	for _, head := range []string{preflight("/v1/poll?channels=" + strings.Repeat("x", 17<<10)), preflight("/v1/poll", "Bad Header: x\r\n")} {
		resp := in.askAs(namedPage, head)
		if checkPage(t, resp, namedPage); resp.StatusCode != 204 || !resp.Close {
			t.Errorf("%.50s: %s", head, resp.Status)
		}
	}
	resp = in.askAs(foreignPage, preflight("/v1/poll"))
	if checkPage(t, resp, foreignPage); resp.StatusCode != 403 {
		t.Errorf("another page's: %s", resp.Status)
	}
	resp = in.askAs(namedPage, preflight("/v1/poll", "Access-Control-Request-Headers: a b\r\n"))
	if checkPage(t, resp, namedPage); strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "a b") {
		t.Errorf("no list of tokens: %v", resp.Header)
	}
}

// TestPreflightsAreNoMessages: the request behind a preflight finds its allowance whole, and
// no connection carries preflights alone without end.
func TestPreflightsAreNoMessages(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		listPages(c)
		c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 1, 1
	}).ready()
	c := in.raw("")
	r := bufio.NewReader(c)
	next := func(request string) *http.Response {
		io.WriteString(c, strings.Replace(request, "Host:", "Origin: "+namedPage+"\r\nHost:", 1))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		return resp
	}
	for range gateway.MaxPreflights - 1 {
		if resp := next(preflight("/v1/poll")); resp.StatusCode != 204 || resp.Close {
			t.Fatalf("preflight: %s %v", resp.Status, resp.Header)
		}
	}
	if resp := next(get("/v1/poll?channels=a&wait=0")); resp.StatusCode != 204 {
		t.Fatalf("the request: %s", resp.Status)
	}
	for n := 1; ; n++ { // the connection is kept while its requests are within the rate
		resp := next(get("/v1/poll?channels=a&wait=0"))
		if checkPage(t, resp, namedPage); resp.StatusCode == 429 {
			break
		} else if n > 1000 {
			t.Fatal("no request is over the rate")
		}
	}
	c = in.raw("")
	r = bufio.NewReader(c)
	for n := 1; ; n++ {
		if resp := next(preflight("/v1/poll")); resp.StatusCode != 204 || n > gateway.MaxPreflights {
			t.Fatalf("preflight %d: %s", n, resp.Status)
		} else if resp.Close {
			break
		}
	}
}

// TestPagesLearnOfAFullGateway: a page can read the rejection of a full gateway, and its
// Retry-After.
func TestPagesLearnOfAFullGateway(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*gateway.Config){
		"connections": func(c *gateway.Config) { c.Limits.Connections = 1 },
		"address":     func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 1 },
		"accept rate": func(c *gateway.Config) { c.Limits.AcceptsPerSecond, c.Limits.AcceptsBurst = 1, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := start(t, func(c *gateway.Config) { listPages(c); change(c) }).ready()
			c := in.subscribed("news")
			defer c.Close()
			for _, origin := range []string{namedPage, patternPage, foreignPage, ""} {
				eventually(t, fmt.Sprintf("a page of %q is turned away", origin), func() bool {
					resp := in.askAs(origin, get("/v1/poll?channels=a&wait=0"))
					checkPage(t, resp, origin)
					return resp.StatusCode == 503 && resp.Header.Get("Retry-After") != ""
				})
			}
			for _, origin := range []string{namedPage, patternPage} {
				resp := in.askAs(origin, preflight("/v1/poll"))
				if checkPage(t, resp, origin); resp.StatusCode != 204 {
					t.Errorf("preflight for %q: %s", origin, resp.Status)
				}
			}
			in.askAs(namedPage, "GET /v1/poll HTTP/1.1\r\n") // half a head
		})
	}
}

func TestPagesLearnOfADrain(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { listPages(c); c.Drain.Timeout = time.Minute }).ready()
	c := in.raw("")
	eventually(t, "the connection is taken", func() bool { return in.metric("gateway_connections") == 1 })
	in.stop()
	eventually(t, "all are sent away", in.Draining)
	io.WriteString(c, get("/v1/poll?channels=a", "Origin: "+namedPage+"\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if checkPage(t, resp, namedPage); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	in.halt()
}
