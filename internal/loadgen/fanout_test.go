package loadgen

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// figures are the expected effect of the injected faults.
type figures struct {
	expected, delivered, missing, duplicated, reordered, lost uint64
	incomplete                                                uint64
}

func figuresOf(r *result.Result) figures {
	c, f := r.Counters, r.Fanout
	return figures{f.Expected, c.Delivered, f.Missing, c.Duplicated, c.Reordered, c.Lost, f.Incomplete}
}

// Every figure equals the injected faults: 8 clients, 40 messages on the first template's
// channels and the second's in turn.
func TestFanoutFigures(t *testing.T) {
	tests := map[string]struct {
		channels string
		faults   func(subscriber, n int) fault
		want     figures
		losses   account.Reason
	}{
		"all well, shared": {channels: "news", want: figures{expected: 320, delivered: 320}},
		// 4 rooms of 2 clients and 8 channels of one: 12 channels, 40 messages in turn; the
		// first 4 channels get 4 each, the rest 3 each.
		"all well, several": {channels: "room.%d{4},user.%i", want: figures{expected: 4*4*2 + 8*3, delivered: 4*4*2 + 8*3}},
		"drops": {channels: "news",
			faults: func(sub, n int) fault {
				if sub < 2 && n%10 == 3 {
					return drop
				}
				return deliver
			},
			want: figures{expected: 320, delivered: 312, missing: 8, incomplete: 2}},
		"drops at the end": {channels: "news",
			faults: func(sub, n int) fault {
				if sub == 0 && n > 38 {
					return drop
				}
				return deliver
			},
			want: figures{expected: 320, delivered: 318, missing: 2, incomplete: 1}},
		"doubles": {channels: "news",
			faults: func(sub, n int) fault {
				if n == 7 || n == 40 {
					return double
				}
				return deliver
			},
			want: figures{expected: 320, delivered: 320, duplicated: 16}},
		"swaps": {channels: "news",
			faults: func(sub, n int) fault {
				if sub == 5 && n%10 == 1 {
					return holdBack
				}
				return deliver
			},
			want: figures{expected: 320, delivered: 320, reordered: 4}},
		"all at once": {channels: "news",
			faults: func(sub, n int) fault {
				switch {
				case sub == 1 && n == 5:
					return drop
				case sub == 2 && n == 5:
					return double
				case sub == 3 && n == 5:
					return holdBack
				}
				return deliver
			},
			want: figures{expected: 320, delivered: 319, missing: 1, duplicated: 1, reordered: 1, incomplete: 1}},
		"cut": {channels: "news",
			faults: func(sub, n int) fault {
				if sub == 4 && n == 31 {
					return cutOff
				}
				return deliver
			},
			want:   figures{expected: 320, delivered: 310, missing: 10, lost: 1, incomplete: 1},
			losses: account.ReasonCut},
		"closed": {channels: "news",
			faults: func(sub, n int) fault {
				if sub == 4 && n == 31 {
					return closeOff
				}
				return deliver
			},
			want:   figures{expected: 320, delivered: 310, missing: 10, lost: 1, incomplete: 1},
			losses: "closed 4002: slow"},
	}
	for name, tt := range tests {
		for _, loops := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d loops", name, loops), func(t *testing.T) {
				t.Parallel()
				s := newScripted()
				s.faults = tt.faults
				c := s.start(t, 8, 40)
				c.Channels, c.Loops = tt.channels, loops
				r := mustFanout(t, s, c)
				if got := figuresOf(r); got != tt.want {
					t.Errorf("got %+v, want %+v\nfailed: %q", got, tt.want, r.Failed)
				}
				if bad := tt.want.missing + tt.want.duplicated + tt.want.reordered + tt.want.lost; r.Good() != (bad == 0) {
					t.Errorf("good %v: %q", r.Good(), r.Failed)
				}
				if tt.losses != "" && (len(r.Losses) != 1 || r.Losses[tt.losses] != tt.want.lost) {
					t.Errorf("losses %v, want %q", r.Losses, tt.losses)
				}
				if n := r.Fanout.Due.Count; n != int64(tt.want.delivered) {
					t.Errorf("%d latencies for %d deliveries", n, tt.want.delivered)
				}
			})
		}
	}
}

// A message that is cut into single bytes, fragments and pings is one message.
func TestFanoutDribble(t *testing.T) {
	s := newScripted()
	s.dribble = true
	c := s.start(t, 3, 10)
	r := mustFanout(t, s, c)
	if got, want := figuresOf(r), (figures{expected: 30, delivered: 30}); got != want || !r.Good() {
		t.Errorf("got %+v: %q", got, r.Failed)
	}
	// Two frames before the messages: welcome and subscribed.
	if r.Counters.Pings != 3*12 || r.Counters.Unknown != 0 {
		t.Errorf("%d pings, %d unknown", r.Counters.Pings, r.Counters.Unknown)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pongs != 3*12 {
		t.Errorf("%d pings were answered", s.pongs)
	}
}

// A server that stalls shows in the latency from the intended time with the
// whole stall, for the messages that were due meanwhile.
func TestFanoutStall(t *testing.T) {
	s := newScripted()
	const stall = time.Second
	s.stall = func(n int) time.Duration {
		if n == 20 {
			return stall
		}
		return 0
	}
	c := s.start(t, 1, 200)
	c.Rate, c.Timeout = 100, 5*time.Second
	r := mustFanout(t, s, c)
	if !r.Good() {
		t.Fatal(r.Failed)
	}
	l := r.Fanout.Due
	if max := time.Duration(l.Max); max < stall || max > 2*stall {
		t.Errorf("max %v, want the stall of %v", max, stall)
	}
	// 100 of 200 messages were due in the stall; they waited 1 s down to 0.
	if p50, p90 := time.Duration(l.P50), time.Duration(l.P90); p50 > 500*time.Millisecond || p90 < 750*time.Millisecond {
		t.Errorf("p50 %v and p90 %v, want p90 near 800 ms", p50, p90)
	}
}

// With rate 0 each message waits for the one before; the completion is
// measured, and a message that is lost ends the run there.
func TestFanoutInTurn(t *testing.T) {
	s := newScripted()
	c := s.start(t, 5, 20)
	c.Rate = 0
	r := mustFanout(t, s, c)
	if !r.Good() || r.Fanout.Completion.Count != 20 || r.Fanout.Published != 20 {
		t.Errorf("%d published, %d completions: %q", r.Fanout.Published, r.Fanout.Completion.Count, r.Failed)
	}

	s = newScripted()
	s.faults = func(sub, n int) fault {
		if sub == 2 && n == 4 {
			return drop
		}
		return deliver
	}
	c = s.start(t, 5, 20)
	c.Rate, c.Timeout = 0, time.Second
	r = mustFanout(t, s, c)
	if got, want := figuresOf(r), (figures{expected: 20, delivered: 19, missing: 1, incomplete: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := []string{"client 2 on loadgen: 1 missing, the first is number 4 of 4"}; len(r.Fanout.Examples) != 1 || !strings.HasSuffix(r.Fanout.Examples[0], want[0][len("client 2"):]) {
		t.Errorf("examples %q", r.Fanout.Examples)
	}
}

// A publisher that hangs makes slots late, and skips slots that are too late.
func TestFanoutLateAndSkipped(t *testing.T) {
	s := newScripted()
	c := s.start(t, 2, 100)
	c.Rate, c.MaxLate = 100, 100*time.Millisecond
	p := &hangs{scripted: s, at: 10, d: 300 * time.Millisecond}
	r, err := fanout.with(t.Context(), c, Options{}, p)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Fanout
	// A host that is busy makes it more.
	if f.Skipped < 15 || f.Late < 8 {
		t.Errorf("%d skipped, want about 20; %d late, want about 10", f.Skipped, f.Late)
	}
	if f.Published+f.Skipped != f.Asked || f.Missing != 0 || f.Expected != uint64(2*f.Published) {
		t.Errorf("published %d, skipped %d of %d; %d missing of %d", f.Published, f.Skipped, f.Asked, f.Missing, f.Expected)
	}
	if r.Good() {
		t.Error("a run with skipped messages was good")
	}
	if due, real := time.Duration(f.Due.Max), time.Duration(f.Real.Max); due < 80*time.Millisecond || real > due {
		t.Errorf("latency up to %v from the intended time, %v from the real one", due, real)
	}
}

// hangs is a publisher that hangs once.
type hangs struct {
	*scripted
	at, n int
	d     time.Duration
}

func (h *hangs) Publish(ctx context.Context, batch []publish.Message) ([]publish.Result, error) {
	if h.n += len(batch); h.at > 0 && h.n >= h.at {
		h.at = 0
		time.Sleep(h.d)
	}
	return h.scripted.Publish(ctx, batch)
}

// n messages at a rate take n intervals and not one less, which shows where
// they are few.
func TestFanoutRate(t *testing.T) {
	t.Parallel()
	s := newScripted()
	c := s.start(t, 3, 4)
	c.Rate = 8
	r := mustFanout(t, s, c)
	if f := r.Fanout; f.PerSecond > 8.1 || f.DeliveredPS > 24.3 || float64(f.Delivered)/f.Effort.Seconds > 24.3 || f.PerSecond < 5 {
		t.Errorf("published %.1f /s, delivered %.1f /s in %.2f s", f.PerSecond, f.DeliveredPS, f.Effort.Seconds)
	}
}

func TestFanoutUnheard(t *testing.T) {
	s := newScripted()
	s.unheard = true
	s.faults = func(int, int) fault { return drop }
	c := s.start(t, 2, 5)
	c.Timeout = time.Second
	r := mustFanout(t, s, c)
	if r.Fanout.Unheard != 5 || !slices.ContainsFunc(r.Failed, func(f string) bool { return strings.Contains(f, "--prefix") }) {
		t.Errorf("unheard %d: %q", r.Fanout.Unheard, r.Failed)
	}
}

func TestFanoutTransports(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		transport plan.Transport
		prepare   func(s *scripted)
		want      figures
	}{
		"sse":           {plan.SSE, func(*scripted) {}, figures{expected: 120, delivered: 120}},
		"sse unchunked": {plan.SSE, func(s *scripted) { s.chunkSSE = false }, figures{expected: 120, delivered: 120}},
		"sse faults": {plan.SSE, func(s *scripted) {
			s.faults = func(sub, n int) fault {
				return map[int]fault{3: drop, 5: double, 8: holdBack}[n]
			}
		}, figures{expected: 120, delivered: 116, missing: 4, duplicated: 4, reordered: 4, incomplete: 4}},
		"poll": {plan.Poll, func(*scripted) {}, figures{expected: 120, delivered: 120}},
		"poll faults": {plan.Poll, func(s *scripted) {
			s.faults = func(sub, n int) fault {
				return map[int]fault{3: drop, 5: double}[n]
			}
		}, figures{expected: 120, delivered: 116, missing: 4, duplicated: 4, incomplete: 4}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScripted()
			tt.prepare(s)
			c := s.start(t, 4, 30)
			c.Transport, c.Timeout = tt.transport, 2*time.Second
			r := mustFanout(t, s, c)
			if got := figuresOf(r); got != tt.want {
				t.Errorf("got %+v, want %+v: %q", got, tt.want, r.Failed)
			}
			if tt.want.missing == 0 && !r.Good() {
				t.Error(r.Failed)
			}
			if r.Counters.Unknown+r.Counters.Damaged+r.Counters.Foreign != 0 {
				t.Errorf("counters %+v", r.Counters)
			}
		})
	}
}

// No client can miss a message that Redis refused or was never sent; one without an answer
// counts if it arrives.
func TestResults(t *testing.T) {
	t.Parallel()
	const n = 12 // the message that something happens to
	tests := map[string]struct {
		mishap  publish.Result
		lost    bool
		unknown uint64 // deliveries
		extra   uint64 // expected deliveries besides the published messages
	}{
		"refused":           {publish.Refused, true, 0, 0},
		"never sent":        {publish.Unsent, true, 0, 0},
		"no answer, gone":   {publish.Unknown, true, 4, 0},
		"no answer, it had": {publish.Unknown, false, 0, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScripted()
			s.mishap = func(k int) (publish.Result, bool) {
				if k == n {
					return tt.mishap, tt.lost
				}
				return publish.Taken, false
			}
			c := s.start(t, 4, 2000)
			c.Rate = 200
			f := mustFanout(t, s, c)
			x := f.Fanout
			if x.Asked != 2000 || x.Published+x.Skipped+x.NotSent+x.Refused+x.FateUnknown != 2000 || x.NotSent < 1900 || x.Refused+x.FateUnknown > 1 {
				t.Errorf("slots %+v", x)
			}
			if x.Missing != 0 || x.Incomplete != 0 || x.UnknownMissing != tt.unknown || x.Expected != 4*uint64(x.Published)+tt.extra || x.Delivered != x.Expected || f.Good() {
				t.Errorf("%+v: %q", x, f.Failed)
			}
		})
	}
}

// A publisher that is stuck when the time is up has left slots out: they are
// skipped, and as late as they were by then.
func TestSkippedAtTheEnd(t *testing.T) {
	s := newScripted()
	c := s.start(t, 2, 1)
	c.Stages, c.Rate, c.MaxLate = "->2, hold 200ms", 100, 100*time.Millisecond
	p := &hangs{scripted: s, at: 5, d: 600 * time.Millisecond}
	r, err := fanout.with(t.Context(), c, Options{}, p)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Fanout
	if f.Asked < 20 || f.Skipped < 10 || f.Published+f.Skipped != f.Asked || f.Missing != 0 {
		t.Errorf("%+v", f)
	}
	if f.Due.Count != int64(f.Delivered)+2*int64(f.Skipped) || f.Due.Max < int64(300*time.Millisecond) {
		t.Errorf("%d latencies of %d deliveries and %d skipped messages, up to %v", f.Due.Count, f.Delivered, f.Skipped, time.Duration(f.Due.Max))
	}
}

// A missing Redis is reported before any client connects.
func TestFanoutNoRedis(t *testing.T) {
	m := miniredis.RunT(t)
	c := plan.DefaultConfig()
	c.Redis = "redis://" + m.Addr()
	m.Close()
	_, err := Fanout(t.Context(), c, Options{})
	if err == nil || !strings.Contains(err.Error(), "--redis must name") {
		t.Errorf("error %v", err)
	}
}

// The whole way through Redis; no gateway forwards, so all is missing, and the reason is found.
func TestFanoutWrongRedis(t *testing.T) {
	m := miniredis.RunT(t)
	s := newScripted()
	c := s.start(t, 3, 4)
	c.Redis, c.Timeout = "redis://"+m.Addr(), time.Second
	r, err := Fanout(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := figuresOf(r), (figures{expected: 12, missing: 12, incomplete: 3}); got != want || r.Fanout.Unheard != 4 {
		t.Errorf("got %+v, unheard %d", got, r.Fanout.Unheard)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "--redis and --prefix must be the gateway's own") {
		t.Errorf("%v\n%s", err, table.String())
	}
}
