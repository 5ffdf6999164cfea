package loadgen

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// behindProxy has a server's answers say that they passed a proxy.
func behindProxy(s *scripted) {
	own := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Via", "1.1 nginx")
		own.ServeHTTP(w, r)
	})
}

// A connection that ends behind a proxy is no fault, unless the gateway has said that it ends
// it.
func TestCutBehindProxy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		what      fault
		lost, cut uint64
	}{
		"without a word": {cutOff, 0, 1},
		"with a goodbye": {byeOff, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted()
			s.faults = func(subscriber, n int) fault {
				if subscriber == 3 && n == 5 {
					return test.what
				}
				return deliver
			}
			behindProxy(s)
			c := s.start(t, 5, 10)
			c.Transport, c.Timeout = plan.SSE, 5*time.Second
			n := mustFanout(t, s, c).Counters
			if n.Lost != test.lost || n.ProxyCut != test.cut || n.ProxyReturned != test.cut {
				t.Errorf("%+v", n)
			}
		})
	}
}

// A message that a client misses after its reconnect is the gateway's loss.
func TestMissingBehindProxy(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.faults = func(subscriber, n int) fault {
		switch {
		case subscriber == 3 && n == 5:
			return cutOff
		case subscriber == 5 && n == 10: // which is the same client again
			return drop
		}
		return deliver
	}
	behindProxy(s)
	c := s.start(t, 5, 60)
	c.Transport, c.Rate, c.Timeout = plan.SSE, 100, 5*time.Second
	r := mustFanout(t, s, c)
	if f := r.Fanout; r.Counters.ProxyReturned != 1 || f.Missing != 1 || f.MissingCut != 0 || r.Good() {
		t.Errorf("%+v, %d missing, %d of them by the proxy, failed %q", r.Counters, f.Missing, f.MissingCut, r.Failed)
	}
}

// Clients retry later when asked to: by a stream that ends with a goodbye, the only way to tell
// an EventSource, and by close code 1013.
func TestPutOff(t *testing.T) {
	for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE} {
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
	c := plan.DefaultConfig()
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
		want   account.Reason
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
		"page":            {head(404, "text/html", length("<html>")) + "<html>", "HTTP 404", notGateway},
		"long":            {head(500, "text/plain", length(strings.Repeat("x", 5000))) + strings.Repeat("x", 5000), account.Reason(`HTTP 500: "` + strings.Repeat("x", 159)), ""},
		"by a proxy":      {head(503, "text/html", "Server: by\r\n", length("")), "HTTP 503 by by", "reaches no gateway"},
		"not by a proxy":  {head(503, "application/json") + `{"error":"stopped by nobody"}` + andClose, "HTTP 503: stopped by nobody", "limits.connections"},
	}
	for name, tt := range tests {
		for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll} {
			t.Run(name+" "+string(transport), func(t *testing.T) {
				t.Parallel()
				c := plan.DefaultConfig()
				c.URL, c.Transport, c.Connections = "http://"+answering(t, tt.answer), transport, 2
				if name == "never whole" {
					c.Timeout = time.Second
				}
				r, err := Idle(t.Context(), c, Options{})
				if err != nil {
					t.Fatal(err)
				}
				text := strings.Join(r.Failed, "\n")
				if r.Failures[tt.want] != 2 || tt.want.Words() && !strings.Contains(text, string(tt.want)) {
					t.Errorf("%v, want %q; %s", r.Failures, tt.want, text)
				}
				if !strings.Contains(text, tt.hint) || strings.Contains(text, notGateway) != (tt.hint == notGateway) {
					t.Errorf("%s, want the hint %q", text, tt.hint)
				}
			})
		}
	}
}
