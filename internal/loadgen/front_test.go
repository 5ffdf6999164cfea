package loadgen

import (
	"net/http"
	"testing"
	"time"
)

// behindProxy has a server's answers say that they came through a proxy.
func behindProxy(s *scripted) {
	own := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Via", "1.1 nginx")
		own.ServeHTTP(w, r)
	})
}

// A connection that ends behind a proxy is nobody's fault, unless the gateway has
// said that it ends it.
func TestCutBehindProxy(t *testing.T) {
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
			c.Transport, c.Timeout = SSE, 5*time.Second
			n := mustFanout(t, s, c).Counters
			if n.Lost != test.lost || n.ProxyCut != test.cut || n.ProxyReturned != test.cut {
				t.Errorf("%+v", n)
			}
		})
	}
}

// What a client misses after it has come back is the gateway's loss.
func TestMissingBehindProxy(t *testing.T) {
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
	c.Transport, c.Rate, c.Timeout = SSE, 100, 5*time.Second
	r := mustFanout(t, s, c)
	if f := r.Fanout; r.Counters.ProxyReturned != 1 || f.Missing != 1 || f.MissingCut != 0 || r.Good() {
		t.Errorf("%+v, %d missing, %d of them by the proxy, failed %q", r.Counters, f.Missing, f.MissingCut, r.Failed)
	}
}

func TestLedgerAway(t *testing.T) {
	g := newLedger(2)
	see := func(numbers ...uint32) {
		for _, n := range numbers {
			g.observe(0, n)
		}
	}
	check := func(when string, want uint64) {
		t.Helper()
		if got := g.missedAway(0, 20); got != want {
			t.Errorf("%s: %d missed while away, want %d", when, got, want)
		}
	}
	g.begin(0, 0)
	see(1, 3)
	check("never cut", 0)
	g.leave(0)
	g.leave(0)
	check("away", 17)
	see(7)
	check("back", 3)
	see(5)
	check("one more came late", 2)
	see(10)
	check("lost later", 2)
	g.leave(0)
	see(11)
	check("away, and nothing passed", 2)
	g.leave(0)
	check("away again", 11)
	see(20)
	check("back again", 10)
	g.begin(0, 20)
	check("another window", 0)
}

// A client that the run lets go is not waited for, however far it is on its way
// back from where a proxy has cut it.
func TestPartWhileAway(t *testing.T) {
	for _, at := range []state{connecting, opening, joining, gone} {
		l := bench(t, SSE, "a")
		l.meet("nginx")
		place(t, l, ready)
		l.up = 1
		if l.end(0, ReasonCut); !l.front.isAway(0) {
			t.Fatal("a proxy has cut nobody")
		}
		if at != gone {
			place(t, l, at)
		}
		if l.part(0); l.front.isAway(0) {
			t.Errorf("still waited for from state %d", at)
		}
	}
}
