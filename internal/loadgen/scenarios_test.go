package loadgen

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

func TestChurn(t *testing.T) {
	for _, loops := range []int{1, 2} {
		s := newScripted()
		c := s.start(t, 40, 1)
		c.Share, c.ChurnRate, c.Rate, c.Loops = 0.5, 100, 100, loops
		c.Duration = 500 * time.Millisecond
		r, err := churn.with(t.Context(), c, Options{}, s)
		if err != nil {
			t.Fatal(err)
		}
		x, f, n := r.Churn, r.Fanout, r.Counters
		// 50 cycles and the first at time 0, in each loop. A host that is busy
		// may keep clients away for so long that none is left to close.
		if r.Good() != (x.Skipped == 0) || x.Clients != 20 || x.Slots < 20 || x.Slots > uint64(100*x.Effort.Seconds)+4 || x.Cycles+x.Skipped != x.Slots || x.Failed != 0 {
			t.Errorf("churn %+v: %q", x, r.Failed)
		}
		if n.Attempted != 40+x.Cycles || n.Churned != x.Cycles || n.Lost != 0 || n.Open != 40 || x.Handshake.Count != int64(x.Cycles) || x.HandshakeDue.Count != int64(x.Cycles) {
			t.Errorf("counters %+v", n)
		}
		if f == nil || f.Expected != 20*uint64(f.Published) || f.Missing != 0 || f.Published < 5 {
			t.Errorf("messages %+v", f)
		}
	}
}

// A gateway that refuses some of the returning clients.
func TestChurnFailed(t *testing.T) {
	s := newScripted()
	s.refuse = func(client int) int { return map[int]int{12: 503, 15: 503}[client] }
	c := s.start(t, 10, 1)
	c.Share, c.ChurnRate, c.Rate, c.Duration = 1, 50, 0, 400*time.Millisecond
	c.Timeout = time.Second
	r, err := churn.with(t.Context(), c, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := r.Churn
	if text := strings.Join(r.Failed, "\n"); x.Failed != 2 || x.Cycles != r.Counters.Churned-2 || !strings.Contains(text, "2 connects of the churn failed") || !strings.Contains(text, "limits.connections") {
		t.Errorf("%+v: %q", x, r.Failed)
	}
}

// A rate that a handful of clients can't keep is less than asked, and said so.
func TestChurnSkipped(t *testing.T) {
	s := newScripted()
	s.refuse = func(client int) int {
		if client >= 4 {
			time.Sleep(100 * time.Millisecond)
		}
		return 0
	}
	c := s.start(t, 4, 1)
	c.Share, c.ChurnRate, c.Rate, c.Duration = 0.5, 100, 0, 500*time.Millisecond
	r, err := churn.with(t.Context(), c, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Two clients with 100 ms for each cycle: 10 cycles in 500 ms.
	if x := r.Churn; x.Cycles < 4 || x.Cycles > 14 || x.Skipped < 30 || x.Slots < 45 || r.Good() {
		t.Errorf("%+v: %q", x, r.Failed)
	}
}

// The slow clients make the server wait, which the healthy ones feel, until it
// cuts them.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.patience = 300 * time.Millisecond
	c := s.start(t, 10, 1)
	c.SlowShare, c.Rate, c.Size, c.Duration = 0.2, 50, 32<<10, 1500*time.Millisecond
	c.Settle, c.Timeout = 500*time.Millisecond, 5*time.Second
	r, err := slow.with(t.Context(), c, Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	x := r.Slow
	if !r.Good() || x == nil || x.Clients != 2 || x.Ended != 2 || x.Closes[account.ReasonCut]+x.Closes[account.ReasonReset] != 2 || r.Counters.Lost != 0 {
		t.Fatalf("%+v: %q", x, r.Failed)
	}
	for name, f := range map[string]*result.Sent{"baseline": x.Baseline, "loaded": x.Loaded} {
		if f.Expected != 8*uint64(f.Published) || f.Delivered != f.Expected || f.Published < 20 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// Each slow client cost one wait of 300 ms, maybe both at once.
	// The baseline's own p99 is the host's business: a busy one has made it 590 ms.
	want := float64(x.Loaded.Due.P99) / float64(x.Baseline.Due.P99)
	if max := time.Duration(x.Loaded.Due.Max); max < s.patience || math.Abs(x.P99Ratio-want) > 0.01*want || r.Fanout != x.Loaded {
		t.Errorf("max %v, p99 %.2f times the baseline, want %.2f", max, x.P99Ratio, want)
	}
}

// Clients that trickle get their bytes and stay.
func TestSlowTrickle(t *testing.T) {
	s := newScripted()
	c := s.start(t, 4, 1)
	c.SlowShare, c.SlowRead, c.Rate, c.Duration = 0.25, 1000, 100, time.Second
	r, err := slow.with(t.Context(), c, Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	// Each message is over 128 B: about 7 a second fit, the rest arrive in the end, and in the
	// baseline all did.
	if x := r.Slow; !r.Good() || x.Ended != 0 || x.Loaded.Missing != 0 || r.Counters.Aside != uint64(x.Baseline.Published+x.Loaded.Published) {
		t.Errorf("%+v, %d aside: %q", x, r.Counters.Aside, r.Failed)
	}
}

func TestMixed(t *testing.T) {
	s := newScripted()
	c := s.start(t, 40, 1)
	c.Transport, c.Channels = "ws:50,sse:25,poll:25", "news,room.%d{4}"
	c.Share, c.ChurnRate, c.SlowShare, c.Rate, c.Duration = 0.25, 50, 0.1, 100, 500*time.Millisecond
	r, err := mixed.with(t.Context(), c, Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	f, x := r.Fanout, r.Churn
	if r.Good() != (x.Skipped == 0) || x.Clients != 10 || x.Cycles < 15 || r.Slow.Clients != 4 || f.Missing != 0 || f.Delivered != f.Expected || f.Published < 30 {
		t.Errorf("messages %+v, churn %+v: %q", f, x, r.Failed)
	}
}
