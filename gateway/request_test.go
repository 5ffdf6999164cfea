package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway"
)

// exchange holds a connection's responses.
type exchange struct {
	statuses []int
	bodies   []string
	headers  []http.Header
	kept     bool // a further request got a response
}

// exchange sends bytes and reads as many responses as there are methods, then tries one more
// request on the connection. The bytes are sent in pieces of a size, 0 for all at once.
func (in *instance) exchange(bytes string, piece int, methods ...string) (x exchange) {
	in.t.Helper()
	c := in.raw("")
	defer c.Close()
	if piece == 0 {
		piece = max(1, len(bytes))
	}
	for i := 0; i < len(bytes); i += piece {
		if _, err := io.WriteString(c, bytes[i:min(i+piece, len(bytes))]); err != nil {
			break // refused already; the response has the reason
		}
	}
	r, closes := bufio.NewReader(c), false
	for _, method := range methods {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		for err == nil && resp.StatusCode == 100 {
			resp, err = http.ReadResponse(r, &http.Request{Method: method})
		}
		if err != nil {
			in.t.Fatalf("answer %d to %.300q: %v", len(x.statuses), bytes, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			in.t.Fatalf("answer %d to %.300q: %v", len(x.statuses), bytes, err)
		}
		x.statuses, x.bodies, x.headers = append(x.statuses, resp.StatusCode), append(x.bodies, string(body)), append(x.headers, resp.Header)
		closes = resp.Close
	}
	io.WriteString(c, healthHead)
	resp, err := http.ReadResponse(r, nil)
	if x.kept = err == nil && resp.StatusCode == 200; x.kept == closes {
		in.t.Errorf("%.300q: kept %v, but the last answer says close %v", bytes, x.kept, closes)
	}
	if x.kept {
		return x
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		in.t.Errorf("%.300q: after the answers came %q, %v", bytes, rest, err)
	}
	return x
}

// get and post are requests of HTTP/1.1; headers are whole lines.
func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + strings.Join(headers, "") + "\r\n"
}

func post(path, body string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n%s\r\n%s", path, len(body), strings.Join(headers, ""), body)
}

// chunked is a post in chunks of one byte.
func chunked(path, body string) string {
	var b strings.Builder
	b.WriteString("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range len(body) {
		fmt.Fprintf(&b, "1;n=%d\r\n%c\r\n", i, body[i])
	}
	return b.String() + "0\r\nTrailer: x\r\n\r\n"
}

const pollNow = `{"channels":["a"],"wait":0}`

func TestRequests(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	many := strings.Repeat("c,", 1000) + "c"
	manyJSON := `{"channels":["` + strings.Repeat(`c","`, 1000) + `c"]}`
	big := strings.Repeat("x", 70_000)
	for name, tc := range map[string]struct {
		bytes    string
		methods  string // of the requests with a response, one letter each
		statuses []int
		kept     bool
	}{
		"poll":                     {get("/v1/poll?channels=a&wait=0"), "G", []int{204}, true},
		"post":                     {post("/v1/poll", pollNow), "P", []int{204}, true},
		"chunked":                  {chunked("/v1/poll", pollNow), "P", []int{204}, true},
		"asked to close":           {get("/v1/poll?channels=a&wait=0", "Connection: close\r\n"), "G", []int{204}, false},
		"post, asked to close":     {post("/v1/poll", pollNow, "Connection: close\r\n"), "P", []int{204}, false},
		"empty body":               {post("/v1/poll", ""), "P", []int{400}, true},
		"no length":                {"POST /v1/poll HTTP/1.1\r\nHost: test\r\n\r\n", "P", []int{400}, true},
		"not JSON":                 {post("/v1/poll", "channels=a"), "P", []int{400}, true},
		"array":                    {post("/v1/poll", `["a"]`), "P", []int{400}, true},
		"not UTF-8":                {post("/v1/poll", "{\"channels\":[\"\xff\"]}"), "P", []int{400}, true},
		"deep":                     {post("/v1/poll", strings.Repeat("[", 60_000)), "P", []int{400}, true},
		"thousand channels":        {get("/v1/poll?channels=" + many), "G", []int{400}, false},
		"thousand events":          {get("/v1/sse?channels=" + many), "G", []int{400}, false},
		"thousand in a body":       {post("/v1/poll", manyJSON), "P", []int{400}, true},
		"thousand, long":           {get("/v1/poll?channels=" + strings.Repeat(many, 9)), "G", []int{431}, false},
		"wait":                     {get("/v1/poll?channels=a&wait=99999"), "G", []int{400}, false},
		"wait in a body":           {post("/v1/poll", `{"channels":["a"],"wait":1e99}`), "P", []int{400}, true},
		"length and coding":        {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"coding and length":        {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"two lengths":              {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length: 27\r\nContent-Length: 28\r\n\r\n" + pollNow, "P", []int{400}, false},
		"other coding":             {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "P", []int{501}, false},
		"hidden coding":            {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"coding of 1.0":            {"POST /v1/poll HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"space before the colon":   {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length : 4\r\n\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"bare LF in the head":      {"POST /v1/poll HTTP/1.1\r\nHost: test\nContent-Length: 4\r\n\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"bare LF in a chunk":       {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\n{\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"signed chunk":             {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n{\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"chunk too long":           {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n" + healthHead, "P", []int{400}, false},
		"body over the limit":      {post("/v1/poll", big), "P", []int{413}, false},
		"length over the limit":    {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999\r\n\r\n", "P", []int{413}, false},
		"chunks over the limit":    {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n" + big, "P", []int{413}, false},
		"chunk size over it":       {"POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "P", []int{413}, false},
		"get with a body":          {get("/v1/poll?channels=a&wait=0", "Content-Length: 5\r\n") + "hello" + healthHead, "G", []int{204}, false},
		"head with a body":         {strings.Replace(get("/v1/poll?channels=a&wait=0", "Content-Length: 5\r\n"), "GET", "HEAD", 1) + "hello", "H", []int{200}, false},
		"options with a body":      {"OPTIONS /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello", "O", []int{204}, false},
		"unknown expectation":      {post("/v1/poll", pollNow, "Expect: magic\r\n"), "P", []int{417}, false},
		"expects, body at once":    {post("/v1/poll", pollNow, "Expect: 100-continue\r\n"), "P", []int{204}, true},
		"1.0":                      {"GET /v1/poll?channels=a&wait=0 HTTP/1.0\r\n\r\n", "G", []int{204}, false},
		"1.0, keep-alive":          {"GET /v1/poll?channels=a&wait=0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "G", []int{204}, true},
		"1.0, keep-alive, close":   {"GET /v1/poll?channels=a&wait=0 HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "G", []int{204}, false},
		"1.0 with a body":          {"POST /v1/poll HTTP/1.0\r\nContent-Length: 27\r\n\r\n" + pollNow, "P", []int{204}, false},
		"1.0 health":               {"HEAD /healthz HTTP/1.0\r\n\r\n", "H", []int{200}, false},
		"pipelined":                {post("/v1/poll", pollNow) + get("/healthz") + chunked("/v1/poll", pollNow) + "HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n" + get("/v1/poll?channels=a&wait=0") + post("/v1/poll", "{}") + "OPTIONS /v1/sse HTTP/1.1\r\nHost: test\r\n\r\n", "PGPHGPO", []int{204, 200, 204, 200, 204, 400, 204}, true},
		"pipelined behind a wait":  {post("/v1/poll", `{"channels":["a"],"wait":0.2}`) + get("/healthz") + post("/v1/poll", `{"channels":["a"],"wait":0.1}`) + post("/v1/poll", pollNow), "PGPP", []int{204, 200, 204, 204}, true},
		"pipelined behind an end":  {post("/v1/poll", pollNow, "Connection: close\r\n") + get("/healthz"), "P", []int{204}, false},
		"pipelined behind a error": {get("/v1/poll?channels=a%00") + get("/healthz"), "G", []int{400}, false},
		"pipelined behind a 404":   {post("/v1/none", pollNow) + get("/healthz"), "P", []int{404}, false},
	} {
		for _, piece := range []int{0, 1, 7} {
			if piece > 0 && len(tc.bytes) > 4000 {
				continue
			}
			t.Run(fmt.Sprintf("%s in %d", name, piece), func(t *testing.T) {
				t.Parallel()
				in := &instance{Server: in.Server, t: t, redis: in.redis}
				methods := make([]string, len(tc.methods))
				for i := range methods {
					methods[i] = map[byte]string{'G': "GET", 'P': "POST", 'H': "HEAD", 'O': "OPTIONS"}[tc.methods[i]]
				}
				x := in.exchange(tc.bytes, piece, methods...)
				if !slices.Equal(x.statuses, tc.statuses) || x.kept != tc.kept {
					t.Errorf("got %v, kept %v: %q", x.statuses, x.kept, x.bodies)
				}
				for i, status := range x.statuses {
					if status >= 400 && !strings.HasPrefix(x.bodies[i], `{"error":{"code":"`) {
						t.Errorf("%d with %q", status, x.bodies[i])
					}
				}
			})
		}
	}
}

// Each path takes some methods, and says which when asked with another one.
func TestMethods(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	for path, allowed := range map[string]string{
		"/v1/ws":      "GET",
		"/v1/sse":     "GET HEAD",
		"/v1/poll":    "GET HEAD POST",
		"/v1/publish": "POST",
		"/healthz":    "GET HEAD",
		"/readyz":     "GET HEAD",
		"/":           "GET HEAD",
		"/none":       "",
		"*":           "",
	} {
		for _, method := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "get", "A"} {
			x := in.exchange(method+" "+path+"?channels=a HTTP/1.1\r\nHost: test\r\n\r\n", 0, method)
			status := x.statuses[0]
			switch {
			case allowed == "":
				if status != 404 && status != 400 {
					t.Errorf("%s %s: %d", method, path, status)
				}
			case method == "OPTIONS":
				want := 204
				if path == "/" || path == "/healthz" || path == "/readyz" {
					want = 200
				}
				if status != want || !x.kept || x.headers[0].Get("Allow") == "" {
					t.Errorf("%s %s: %d %v", method, path, status, x.headers[0])
				}
			case slices.Contains(strings.Fields(allowed), method):
				if status != 200 || x.kept == (path == "/v1/sse") {
					t.Errorf("%s %s: %d, kept %v", method, path, status, x.kept)
				}
			case status != 405 && status != 400:
				t.Errorf("%s %s: %d", method, path, status)
			}
			if method == "HEAD" && x.bodies[0] != "" {
				t.Errorf("%s %s: %q", method, path, x.bodies[0])
			}
		}
	}
}

// Invalid positions are refused. Unavailable ones give the remaining messages, and a gap.
func TestPositions(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	durable(t, in.redis, "c", 0, 3)
	ws := in.dial("/v1/ws")
	ws.expect("welcome")
	var foreign message.Cursor
	foreign.Set("c", message.Position{Node: "elsewhere", Seq: 7})
	var future message.Cursor
	future.Set("c", message.Position{Ms: 1 << 62, Seq: 1})
	for text, valid := range map[string]bool{
		"c": false, "cAAAA": false, "cAQ": false, "c!!!!": false, "cAQA=": false, "c" + strings.Repeat("A", 5000): false,
		"1-": false, "-1": false, "1": false, "01-1": false, "1--1": false, "18446744073709551616-0": false, "x-1": false,
		"~": false, "~-1": false, "~n-": false, "~n-01": false, "~n m-1": false, "~" + strings.Repeat("n", 65) + "-1": false,
		"99999999999999-0": true, "18446744073709551615-18446744073709551615": true,
		"~elsewhere-3": true, "~" + in.node + "-999": true,
		foreign.String(): true, future.String(): true,
	} {
		escaped := strings.ReplaceAll(text, "=", "%3D")
		escaped = strings.ReplaceAll(escaped, " ", "%20")
		status, gaps := 400, 0
		if valid {
			status, gaps = 200, 1
		}
		if x := in.exchange(get("/v1/poll?channels=c&wait=0&cursor="+escaped), 0, "GET"); x.statuses[0] != status || strings.Count(x.bodies[0], `"gaps":["c"]`) != gaps {
			t.Errorf("poll from %.50q: %d %s", text, x.statuses[0], x.bodies[0])
		}
		body, _ := json.Marshal(map[string]any{"channels": []string{"c"}, "cursor": text, "wait": 0})
		if x := in.exchange(post("/v1/poll", string(body)), 0, "POST"); x.statuses[0] != status || !x.kept || strings.Count(x.bodies[0], `"gaps":["c"]`) != gaps {
			t.Errorf("post from %.50q: %d %s", text, x.statuses[0], x.bodies[0])
		}
		ws.write(fmt.Sprintf(`{"type":"subscribe","channel":"c","since":%q}`, text))
		if !valid {
			for _, request := range []string{get("/v1/sse?channels=c&cursor=" + escaped), get("/v1/sse?channels=c", "Last-Event-ID: "+text+"\r\n"),
				strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=c&cursor="+escaped, 1)} {
				if x := in.exchange(request, 0, "GET"); x.statuses[0] != 400 || x.kept {
					t.Errorf("%.100q: %d %s", request, x.statuses[0], x.bodies[0])
				}
			}
			if e := ws.expect("error"); e.Code != "invalid_position" {
				t.Errorf("subscribe since %.50q: %+v", text, e)
			}
			continue
		}
		s := in.events("/v1/sse?channels=c", text)
		s.expect("subscribed")
		s.expect("gap")
		s.resp.Body.Close()
		ws.expect("subscribed")
		ws.expect("gap")
		for range 3 {
			ws.expect("message") // the remaining messages
		}
		ws.write(`{"type":"unsubscribe","channel":"c"}`)
		ws.expect("unsubscribed")
	}
}

// A client that waits for leave to send its body gets it, and only then.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	head, body, _ := strings.Cut(post("/v1/poll", pollNow, "Expect: 100-continue\r\n"), "\r\n\r\n")
	c := in.raw(head + "\r\n\r\n")
	r := bufio.NewReader(c)
	for _, want := range []int{100, 204} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("got %v %v, want %d", resp, err, want)
		}
		io.WriteString(c, body)
	}
	x := in.exchange("POST /v1/poll HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n", 0, "POST")
	if x.statuses[0] != 413 || x.kept {
		t.Errorf("got %v, kept %v", x.statuses, x.kept)
	}
}

func TestUnfinishedBodies(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Limits.HeadTimeout = time.Second }).ready()
	for name, bytes := range map[string]string{
		"length": "POST /v1/poll HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n{\"channels\"",
		"chunk":  "POST /v1/poll HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ch",
	} {
		c := in.raw(bytes)
		if status, body := answerOf(t, c); status != 408 || !strings.Contains(body, "body_timeout") {
			t.Errorf("%s: %d %s", name, status, body)
		}
		c.Close()
		c = in.raw(bytes)
		closeWrite(c)
		if got := untilClosed(t, c); got != "" {
			t.Errorf("%s cut: %q", name, got)
		}
	}
	eventually(t, "no connection is left", func() bool { return in.totals().connections == 0 })
	if n := in.metric(`gateway_closes_total{reason="head_cut"}`); n != 2 {
		t.Errorf("%v cut requests counted", n)
	}
}

// The response to a body depends on the body alone, whatever other clients request meanwhile.
func TestErrorInABodyBesideAHead(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	c := in.raw("POST /v1/poll HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 100 {
		t.Fatalf("%v %v", resp, err)
	}
	in.exchange("HEAD /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", 0, "HEAD")
	io.WriteString(c, "HEAD\r\n") // no chunk size
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || !strings.Contains(string(body), `"error"`) {
		t.Errorf("%s %q %v", resp.Status, body, err)
	}
}

// Requests behind one that is being published wait for it.
func TestPipelinedPublish(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Shards = 1
		c.Channels = []gateway.ChannelRule{{Match: []string{"p"}, Publish: true}}
	}).ready()
	listener := in.subscribed("p")
	publish := func(n int) string { return post("/v1/publish", fmt.Sprintf(`{"channel":"p","data":%d}`, n)) }
	for _, piece := range []int{0, 1} {
		x := in.exchange(publish(1)+publish(2)+get("/healthz")+publish(3), piece, "POST", "POST", "GET", "POST")
		if fmt.Sprint(x.statuses) != "[200 200 200 200]" || !x.kept {
			t.Errorf("got %v %q, kept %v", x.statuses, x.bodies, x.kept)
		}
		for n := 1; n <= 3; n++ {
			if e := listener.expect("message"); string(e.Data) != fmt.Sprint(n) {
				t.Errorf("got %s, want %d", e.Data, n)
			}
		}
	}
	// Input while Redis is slow is not part of the body.
	in.redis.Signal(syscall.SIGSTOP)
	c := in.raw(publish(4))
	in.get("http://" + in.Addr() + "/healthz") // handled after the first bytes above
	for _, b := range []byte(publish(5)) {
		c.Write([]byte{b})
	}
	in.redis.Signal(syscall.SIGCONT)
	r := bufio.NewReader(c)
	for range 2 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	in.redis.Publish("p", 6)
	for n := 4; n <= 6; n++ {
		if e := listener.expect("message"); string(e.Data) != fmt.Sprint(n) {
			t.Errorf("got %s, want %d", e.Data, n)
		}
	}
}

// Clients whose requests arrive in pieces, interleaved, get their own responses only.
func TestRequestsInPieces(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	seed := uint64(time.Now().UnixNano())
	const clients, polls = 30, 20
	for i := range clients {
		durable(t, in.redis, fmt.Sprintf("own%d", i), 1000*i, 1000*i+polls)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var running sync.WaitGroup
	for i := range clients {
		c := in.raw("")
		running.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			r := bufio.NewReader(c)
			channel, cursor := fmt.Sprintf("own%d", i), "0-0"
			for n := 0; n < polls && ctx.Err() == nil; n++ {
				body := fmt.Sprintf(`{"channels":[%q],"cursor":%q,"max":1,"wait":10}`, channel, cursor)
				request := post("/v1/poll", body)
				switch rng.IntN(3) {
				case 0:
					request = chunked("/v1/poll", body)
				case 1:
					request = get("/v1/poll?max=1&channels=" + channel + "&cursor=" + cursor)
				}
				for len(request) > 0 {
					size := min(len(request), 1+rng.IntN(40))
					io.WriteString(c, request[:size])
					request = request[size:]
					if rng.IntN(4) == 0 {
						time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
					}
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Errorf("seed %d, client %d: %v", seed, i, err)
					return
				}
				p := readPolled(t, resp)
				if got := fmt.Sprint(p.data(t)); got != fmt.Sprintf("[%d]", 1000*i+n) || len(p.Gaps) > 0 {
					t.Errorf("seed %d, client %d: got %s in place of %d", seed, i, got, 1000*i+n)
					return
				}
				cursor = p.Cursor
			}
		})
	}
	running.Wait()
}
