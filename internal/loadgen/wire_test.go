package loadgen

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// Every request of every transport has the fields that were asked for, from the
// processes that hold clients too, and the result shows no secret.
func TestRequestFields(t *testing.T) {
	for _, agents := range []int{0, 2} {
		s := newScripted()
		var (
			mu   sync.Mutex
			seen = make(map[string]http.Header)
		)
		served := s.Config.Handler
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.URL.Path] = r.Header.Clone()
			seen[r.URL.Path].Set("Host", r.Host)
			mu.Unlock()
			served.ServeHTTP(w, r)
		})
		c := s.start(t, 12, 5)
		c.Transport, c.Agents, c.Timeout = "ws:1,sse:1,poll:1", agents, time.Minute
		c.Headers = []string{"Authorization: Bearer hush", "X-Tenant:  acme ", "host: push.example", "User-Agent: planner"}
		c.Origin = "https://app.example"
		r := mustFanout(t, s, c)
		if !r.Good() {
			t.Fatal(r.Failed)
		}
		want := map[string]string{"Authorization": "Bearer hush", "X-Tenant": "acme", "Host": "push.example", "User-Agent": "planner", "Origin": "https://app.example"}
		mu.Lock()
		for _, path := range []string{"/v1/ws", "/v1/sse", "/v1/poll"} {
			for name, value := range want {
				if got := seen[path].Values(name); !slices.Equal(got, []string{value}) {
					t.Errorf("%s: %s: %q, want %q", path, name, got, value)
				}
			}
		}
		mu.Unlock()
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hush") || !strings.Contains(string(text), "X-Tenant:  acme") {
			t.Errorf("settings %+v", r.Settings)
		}
	}
}

// A subprotocol is agreed on as browsers do: one of those offered, or the
// connection fails.
func TestSubprotocol(t *testing.T) {
	head := "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: YU3Fe9MMZmAkyPFY8SqqGXtI948=\r\n"
	tests := map[string]struct {
		offered, chosen string
		want            account.Reason
	}{
		"agreed":      {"bearer.x, pushgate.v1", "pushgate.v1", account.ReasonWelcome},
		"none chosen": {"pushgate.v1", "", account.ReasonSubprotocol},
		"another":     {"pushgate.v1", "pushgate.v2", account.ReasonSubprotocol},
		"unasked":     {"", "pushgate.v1", account.ReasonSubprotocol},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := head
			if tt.chosen != "" {
				answer += "Sec-WebSocket-Protocol: " + tt.chosen + "\r\n"
			}
			c := plan.DefaultConfig()
			c.URL, c.Subprotocol, c.Connections, c.Timeout = "ws://"+answering(t, answer+"\r\n"), tt.offered, 1, 2*time.Second
			r, err := Idle(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Failures[tt.want] != 1 {
				t.Errorf("failures %v, want %q", r.Failures, tt.want)
			}
		})
	}
}

// Every client sends a token of its own, over every transport, with every request.
func TestTokensSent(t *testing.T) {
	for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			s := newScripted()
			var mu sync.Mutex
			seen := make(map[string]bool)
			inner := s.Config.Handler
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var c jwt.RegisteredClaims
				token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return []byte("s3cret"), nil })
				if err != nil {
					http.Error(w, err.Error(), http.StatusUnauthorized)
					return
				}
				mu.Lock()
				seen[c.Subject] = true
				mu.Unlock()
				inner.ServeHTTP(w, r)
			})
			c := s.start(t, 5, 3)
			c.Transport, c.JWTKey = transport, keyFile(t, []byte("s3cret\n"))
			r := mustFanout(t, s, c)
			mu.Lock()
			defer mu.Unlock()
			if !r.Good() || len(seen) != 5 || !seen["user-0"] || !seen["user-4"] {
				t.Errorf("tokens of %v: %q", seen, r.Failed)
			}
			c.JWTKey = keyFile(t, []byte("another")) // refused before it is noted
			if r, err := Idle(t.Context(), c, Options{}); err != nil || r.Failures[`HTTP 401: "token signature is invalid: signature is invalid"`] != 5 {
				t.Errorf("with another key: %v, %v", r.Failures, err)
			}
		})
	}
}
