package loadgen

import (
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// Clients follow the stages, on any number of loops.
func TestStages(t *testing.T) {
	for _, loops := range []int{1, 3} {
		s := newScripted()
		c := s.start(t, 1, 1)
		c.Stages, c.Loops = "0->17@400/s, hold 30ms, 17->30, hold 20ms, ->5@300/s, ->9, ->0", loops
		r, err := Idle(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Good() || r.Settings.Connections != 30 || len(r.Steps) != 7 {
			t.Fatalf("%d stages: %q", len(r.Steps), r.Failed)
		}
		for i, want := range []struct {
			clients int64
			changed uint64
			connect int64
			atLeast float64
		}{{17, 17, 17, 5.0 / 400}, {17, 0, 0, 0.03}, {30, 13, 13, 0}, {30, 0, 0, 0.02}, {5, 25, 0, 8.0 / 300}, {9, 4, 4, 0}, {0, 9, 0, 0}} {
			x := r.Steps[i]
			if x.Clients != want.clients || x.Changed != want.changed || x.Handshake.Count != want.connect || x.Seconds < want.atLeast {
				t.Errorf("%s: %d clients, %d changed, %d handshakes in %.3f s, want %+v", x.Stage, x.Clients, x.Changed, x.Handshake.Count, x.Seconds, want)
			}
		}
		if n := r.Steps[0].HandshakeDue.Count; n != 17 {
			t.Errorf("%d handshakes from their intended time in a paced ramp", n)
		}
		if n := r.Steps[2].HandshakeDue.Count; n != 0 {
			t.Errorf("%d handshakes from their intended time without a pace", n)
		}
		if r.Judge(mustSLOs(t, "clients==30")); !r.Met() || r.Counters.Ready != 34 {
			t.Errorf("%+v, counters %+v", r.SLOs, r.Counters)
		}
		if c := r.Counters; c.Attempted != 34 || c.Closed != 34 || c.Lost != 0 || c.Open != 0 || r.Connect.Handshake.Count != 34 {
			t.Errorf("counters %+v", c)
		}
	}
}

// Each hold's messages are accounted for on their own, for the clients that
// are there.
func TestStagesFanout(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.faults = func(sub, n int) fault {
		if sub == 0 && n == 3 {
			return drop
		}
		return deliver
	}
	c := s.start(t, 1, 1)
	c.Stages, c.Rate = "->4, hold 200ms, ->10, hold 200ms, ->2, hold 200ms", 100
	r := mustFanout(t, s, c)
	var sum result.Sent
	for i, clients := range map[int]uint64{1: 4, 3: 10, 5: 2} {
		f := r.Steps[i].Fanout
		if f == nil || f.Published < 5 || f.Expected != clients*uint64(f.Published) || f.Delivered+f.Missing != f.Expected || f.Due.Count != int64(f.Delivered) {
			t.Fatalf("stage %d: %+v", i, f)
		}
		sum.Missing += f.Missing
		sum.Delivered += f.Delivered
	}
	if sum.Missing != 1 || sum.Delivered != r.Counters.Delivered || r.Good() {
		t.Errorf("%d missing, %d delivered: %q", sum.Missing, sum.Delivered, r.Failed)
	}
}

// A stall in the first hold is not made good by a quiet last one.
func TestStagesFanoutSLO(t *testing.T) {
	t.Parallel()
	s := newScripted()
	const stall = 300 * time.Millisecond
	s.stall = func(n int) time.Duration {
		if n == 3 {
			return stall
		}
		return 0
	}
	c := s.start(t, 1, 1)
	c.Stages, c.Rate = "->4, hold 200ms, ->6, hold 200ms", 100
	r := mustFanout(t, s, c)
	r.Judge(mustSLOs(t, "delivery.max<290ms"))
	f, first, last := r.Fanout, r.Steps[1].Fanout, r.Steps[3].Fanout
	if r.Met() || last.Due.Max > int64(stall)/2 {
		t.Errorf("%+v, the last hold's longest is %v", r.SLOs, time.Duration(last.Due.Max))
	}
	if f.Published != first.Published+last.Published || f.Delivered != first.Delivered+last.Delivered || f.Due.Count != int64(f.Delivered) || f.Due.Max != first.Due.Max ||
		f.Publish.Count != first.Publish.Count+last.Publish.Count || f.DeliveredPS <= min(first.DeliveredPS, last.DeliveredPS) || f.DeliveredPS >= max(first.DeliveredPS, last.DeliveredPS) {
		t.Errorf("all %+v\nfirst %+v\nlast %+v", f, first, last)
	}
}

// Connects that the limit of -c keeps back are late, and their handshakes show
// it from the intended time.
func TestStagesLateConnects(t *testing.T) {
	s := newScripted()
	const slowness = 50 * time.Millisecond
	s.refuse = func(int) int { time.Sleep(slowness); return 0 }
	c := s.start(t, 1, 1)
	c.Stages, c.InFlight = "0->12@1k/s", 2
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// Two at a time: the last pair begins after five others, 250 ms late.
	x := r.Steps[0]
	if x.Late < 10 || time.Duration(x.HandshakeDue.Max) < 5*slowness || x.HandshakeDue.Max < x.Handshake.Min+int64(4*slowness) {
		t.Errorf("%d late, handshakes %v, from the intended time %v", x.Late, time.Duration(x.Handshake.Max), time.Duration(x.HandshakeDue.Max))
	}
	if r.Connect.Late != x.Late || !strings.Contains(strings.Join(r.Warnings, "\n"), "began more than 5ms late") {
		t.Errorf("%d late: %q", r.Connect.Late, r.Warnings)
	}
}

// A handshake that times out is in the corrected percentiles, as the least that
// it would have taken.
func TestHandshakeTimeoutIsCorrected(t *testing.T) {
	t.Parallel()
	s := newScripted()
	release := make(chan struct{})
	s.refuse = func(client int) int {
		if client == 3 {
			<-release
		}
		return 0
	}
	c := s.start(t, 1, 1)
	t.Cleanup(func() { close(release) }) // before the server stops
	c.Stages, c.Timeout = "0->8@200/s", 1500*time.Millisecond
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := r.Connect
	if r.Failures[account.ReasonTimeout] != 1 || x.Handshake.Count != 7 || x.HandshakeDue.Count != 8 || x.HandshakeDue.Max < int64(c.Timeout) || x.Handshake.Max >= int64(c.Timeout) {
		t.Errorf("failures %v, handshakes %+v, from the intended time %+v", r.Failures, x.Handshake, x.HandshakeDue)
	}
}

// A stage that is refused is reported, and a hold without clients ends the run.
func TestStagesRefused(t *testing.T) {
	s := newScripted()
	s.refuse = func(int) int { return 503 }
	c := s.start(t, 1, 1)
	c.Stages = "->40, hold 1h"
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(r.Failed, "\n")
	for _, want := range []string{"stage ->40: 40 clients are not ready", "limits.connections", "stopped before stage 2 of 2, hold 1h0m0s"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q doesn't say %q", text, want)
		}
	}
}
