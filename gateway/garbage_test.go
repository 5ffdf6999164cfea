package gateway

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// The collector runs more often while memory is held, and as before afterwards.
func TestGarbage(t *testing.T) {
	usual := debug.SetGCPercent(77)
	defer debug.SetGCPercent(usual)
	g := garbage{wanted: true}
	for _, step := range []struct {
		queues, inputs, rings float64
		at, then              int // at once, and after a collection
	}{
		{0.25, 0.25, 0.5, 77, 77},
		{0, 0, 0.51, keptPercent, keptPercent},
		{0.26, 0, 1, keptPercent, waitingPercent},
		{0.13, 0, 1, waitingPercent, waitingPercent},
		{0.12, 0.26, 0.26, waitingPercent, waitingPercent},
		{0, 0.1, 0.26, keptPercent, keptPercent},
		{0, 0, 0.24, keptPercent, 77},
		{0, 0, 0.5, 77, 77},
		{0, 0.5, 0, waitingPercent, waitingPercent},
		{0, 0, 0, waitingPercent, 77},
	} {
		for i, want := range []int{step.at, step.at, step.then} {
			g.note(step.queues, step.inputs, step.rings, 0)
			got := debug.SetGCPercent(77)
			debug.SetGCPercent(got)
			if got != want {
				t.Errorf("at call %d with %+v it runs with %d %%", i, step, got)
			}
			runtime.GC() // the second has begun after the first call
		}
	}
	g = garbage{}
	g.note(1, 1, 1, 0)
	if got := debug.SetGCPercent(usual); got != 77 {
		t.Errorf("it runs with %d %%, which nobody has allowed", got)
	}
}

// The garbage of TLS may let a small heap grow to smallHeap, but no larger one, and not where nobody
// has spoken TLS.
func TestGarbageOfRecords(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{4 << 20, 700}, {6 << 20, 400}, {7 << 20, 350}, {9 << 20, 250}, {15 << 20, 100}, {16 << 20, 0}, {1 << 30, 0}} {
		if got := percentFor(tt.live); got != tt.want {
			t.Errorf("a heap of %d MiB: %d %% in place of %d", tt.live>>20, got, tt.want)
		}
	}
	usual := debug.SetGCPercent(77)
	defer debug.SetGCPercent(usual)
	g := garbage{wanted: true}
	runtime.GC()
	with := percentFor(live())
	if with == 0 {
		with = 77 // other tests have left much
	}
	for _, step := range []struct {
		handshakes uint64
		want       int
	}{{0, 77}, {1, with}} {
		g.note(0, 0, 0, step.handshakes)
		got := debug.SetGCPercent(77)
		debug.SetGCPercent(got)
		if got != step.want {
			t.Errorf("after %d handshakes it runs with %d %% in place of %d", step.handshakes, got, step.want)
		}
	}
}
