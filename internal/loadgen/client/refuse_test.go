package client

import (
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

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

// A client that the run lets go is not waited for, however far it is on its way
// back from where a proxy has cut it.
func TestPartWhileAway(t *testing.T) {
	for _, at := range []state{connecting, opening, joining, gone} {
		l := bench(t, plan.SSE, "a")
		l.foundProxy("nginx")
		place(t, l, ready)
		l.up = 1
		if l.end(0, account.ReasonCut); !l.isAway(0) {
			t.Fatal("a proxy has cut nobody")
		}
		if at != gone {
			place(t, l, at)
		}
		if l.closeClient(0); l.isAway(0) {
			t.Errorf("still waited for from state %d", at)
		}
	}
}
