package loadgen

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Clients that are told to come later do so: by a stream that ends with a
// goodbye, the only way to tell an EventSource, and by close code 1013.
func TestPutOff(t *testing.T) {
	for _, transport := range []Transport{WebSocket, SSE} {
		t.Run(string(transport), func(t *testing.T) {
			s := newScripted()
			s.putOff = 7
			c := s.start(t, 20, 10)
			c.Transport, c.Timeout = transport, time.Minute
			r := mustFanout(t, s, c)
			n := r.Counters
			if !r.Good() || n.Clients != 20 || n.Failed != 0 || n.Lost != 0 || n.Deferred != 7 || n.Delivered != 200 || n.Attempted != 27 || n.Open != 20 {
				t.Errorf("%+v, deferrals %v, failed %q", n, r.Deferrals, r.Failed)
			}
		})
	}
}

// A client that would be put off for longer than a handshake may take has failed.
func TestPutOffForTooLong(t *testing.T) {
	c := DefaultConfig()
	c.URL = "http://" + answering(t, "HTTP/1.1 503 X\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n")
	c.Connections = 3
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Counters; n.Failed != 3 || n.Attempted != 3 || r.Failures["HTTP 503"] != 3 {
		t.Errorf("%+v, failures %v", n, r.Failures)
	}
}

func TestLater(t *testing.T) {
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		status int
		field  string
		want   time.Duration
		ok     bool
	}{
		"seconds":       {503, "7", 7 * time.Second, true},
		"at once":       {429, "0", 0, true},
		"date":          {503, "Sun, 29 Nov 2026 08:00:09 GMT", 9 * time.Second, true},
		"date gone":     {503, "Sun, 29 Nov 2026 07:00:00 GMT", 0, true},
		"absurd":        {503, "4000000000", mostAway * time.Millisecond, true},
		"not a time":    {503, "soon", 0, false},
		"none":          {503, "", 0, false},
		"another state": {404, "7", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := head{status: tt.status, retryAfter: []byte(tt.field)}
			if got, ok := h.later(now); got != tt.want || ok != tt.ok {
				t.Errorf("%v %v, want %v %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestIntermediary(t *testing.T) {
	tests := map[string]struct{ server, via, want string }{
		"none":      {"", "", ""},
		"server":    {"nginx/1.26.3", "", "nginx"},
		"via":       {"", "1.1 varnish (Varnish/7.1)", "varnish"},
		"both":      {"cloudflare", "1.1 edge.example, 1.1 inner", "edge.example"},
		"malformed": {"", "x", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := head{server: []byte(tt.server), via: []byte(tt.via)}
			if got := h.intermediary(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// The server's own words for a refusal are in its reason, and stand where the
// run says why it failed. A body is waited for as long as one can be.
func TestRefusalWords(t *testing.T) {
	const message = `{"error":{"code":"bad_request","message":"120 channels, a connection may have 100"}}`
	head := func(status int, kind string, fields ...string) string {
		return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: %s\r\n%s\r\n", status, kind, strings.Join(fields, ""))
	}
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(body)) }
	const notGateway = "does not look like a gateway"
	tests := map[string]struct {
		answer string
		want   Reason
		hint   string // empty: none but the words
	}{
		"gateway":         {head(400, "application/json; charset=utf-8", length(message)) + message, "HTTP 400: 120 channels, a connection may have 100", ""},
		"chunked":         {head(404, "application/json", "Transfer-Encoding: chunked\r\n") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(message), message), "HTTP 404: 120 channels, a connection may have 100", ""},
		"without length":  {head(400, "application/json") + message + andClose, "HTTP 400: 120 channels, a connection may have 100", ""},
		"in parts":        {head(400, "application/json", length(message)) + andPause + message[:30] + andPause + message[30:], "HTTP 400: 120 channels, a connection may have 100", ""},
		"never whole":     {head(400, "application/json", length(message+message)) + message, "HTTP 400: 120 channels, a connection may have 100", ""},
		"cut in the body": {head(400, "application/json", length(message)) + message[:30] + andClose, "HTTP 400", notGateway},
		"with a hint":     {head(401, "application/json", length(message)) + message, "HTTP 401: 120 channels, a connection may have 100", "--jwt-key"},
		"another's JSON":  {head(405, "application/json") + `{"statusCode":405,"error":"Not","message":"no\u001bway"}` + andClose, "HTTP 405: no?way", ""},
		"a bare error":    {head(400, "application/json") + `{"error":"no"}` + andClose, "HTTP 400: no", ""},
		"JSON of no form": {head(400, "application/json") + `[1]` + andClose, "HTTP 400", notGateway},
		"text":            {head(400, "text/plain") + "\n Bad Request: a: b\r\nmore" + andClose, `HTTP 400: "Bad Request: a: b"`, notGateway},
		"empty text":      {head(404, "text/plain", length("")), "HTTP 404", notGateway},
		"page":            {head(404, "text/html", length("<html>")), "HTTP 404", notGateway},
		"long":            {head(500, "text/plain", length(strings.Repeat("x", 5000))) + strings.Repeat("x", 5000), Reason(`HTTP 500: "` + strings.Repeat("x", maxReasonWords-1)), ""},
		"by a proxy":      {head(503, "text/html", "Server: by\r\n", length("")), "HTTP 503 by by", "reaches no gateway"},
		"not by a proxy":  {head(503, "application/json") + `{"error":"stopped by nobody"}` + andClose, "HTTP 503: stopped by nobody", "limits.connections"},
	}
	for name, tt := range tests {
		for _, transport := range []Transport{WebSocket, SSE, Poll} {
			t.Run(name+" "+string(transport), func(t *testing.T) {
				t.Parallel()
				c := DefaultConfig()
				c.URL, c.Transport, c.Connections = "http://"+answering(t, tt.answer), transport, 2
				if name == "never whole" {
					c.Timeout = time.Second
				}
				r, err := Idle(t.Context(), c, Options{})
				if err != nil {
					t.Fatal(err)
				}
				text := strings.Join(r.Failed, "\n")
				if r.Failures[tt.want] != 2 || tt.want.words() && !strings.Contains(text, string(tt.want)) {
					t.Errorf("%v, want %q; %s", r.Failures, tt.want, text)
				}
				if !strings.Contains(text, tt.hint) || strings.Contains(text, notGateway) != (tt.hint == notGateway) {
					t.Errorf("%s, want the hint %q", text, tt.hint)
				}
			})
		}
	}
}

// A server that says something else to every client does not fill a report.
func TestManyWordings(t *testing.T) {
	all, loop := make(tally), make(tally)
	for n := range 50 {
		loop.add(statusReason(403).with(fmt.Sprintf("user.%d is not allowed", n)), 1)
		loop.add(foreignReason(reasonErrorEvent, []byte("forbidden")).with(fmt.Sprint(n)), 1)
	}
	all.merge(loop)
	all.merge(loop)
	if len(all) != 2*(maxWordings+1) || all["HTTP 403"] != 2*(50-maxWordings) || all["error: forbidden"] != 2*(50-maxWordings) {
		t.Errorf("%v", all)
	}
}
