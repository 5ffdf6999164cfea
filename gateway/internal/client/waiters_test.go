package client

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
)

// Waiting requests are found by their client, however many there are, and are served in order.
func TestWaiters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l waiters
		var model []*Request
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			w := &Request{Slot: rapid.Uint32Range(1, 20).Draw(t, "slot")}
			if rapid.Bool().Draw(t, "catches up") {
				w.Since = make([]message.Position, 1)
			}
			at := -1
			for i, m := range model {
				if m.key() == w.key() {
					at = i
				}
			}
			have := l.of(w.key())
			if (have != nil) != (at >= 0) || have != nil && (have != model[at] || have.list != &l) {
				t.Fatalf("%+v: found %p, want number %d", w.key(), have, at)
			}
			if have != nil {
				l.remove(have)
				model = append(model[:at:at], model[at+1:]...)
				if have.list != nil {
					t.Fatal("it still has a list")
				}
			} else {
				l.add(w)
				model = append(model, w)
			}
			if l.n != len(model) {
				t.Fatalf("%d wait, want %d", l.n, len(model))
			}
			next := l.first
			for i, m := range model {
				if next != m {
					t.Fatalf("number %d is out of order", i)
				}
				next = next.next
			}
			if next != nil || l.n > 0 && l.last != model[l.n-1] {
				t.Fatal("the end is wrong")
			}
		}
	})
}

func TestSizeOfRequest(t *testing.T) {
	if n := unsafe.Sizeof(Request{}); n > 128 {
		t.Errorf("a request to subscribe takes %d bytes, which Go gives more than 128", n)
	}
}

func TestSizeOfRecord(t *testing.T) {
	const budget = 16
	if n := unsafe.Sizeof(record{}); n > budget {
		t.Errorf("a client takes %d bytes, %d are budgeted", n, budget)
	}
	text, err := os.ReadFile("../../../docs/ARCHITECTURE.md")
	if row := fmt.Sprintf("| client | %d |", unsafe.Sizeof(record{})); err != nil || !strings.Contains(string(text), row) {
		t.Errorf("ARCHITECTURE.md has no row %q: %v", row, err)
	}
}

// A single client closed by the operator reconnects soon; as many as the gateway holds don't
// reconnect within the same seconds.
func TestDismissedAreSpread(t *testing.T) {
	if d := dismissSpread(0); d != ByeSpread {
		t.Errorf("one comes back within %v", d)
	}
	if d := dismissSpread(1_000_000); d < 30*time.Second || d > 40*time.Second {
		t.Errorf("a million come back within %v", d)
	}
}

func TestAgesAreSpread(t *testing.T) {
	low, high := uint32(1<<31), uint32(0)
	for i := range uint32(10_000) {
		end := dithered(1000, i, 1)
		low, high = min(low, end), max(high, end)
	}
	if low < 900 || low > 905 || high > 1100 || high < 1095 {
		t.Errorf("ages from %d to %d ticks, want 900 to 1100", low, high)
	}
}

// A client that has caught up with more than 4 MiB waits for its next page, one with less doesn't.
// A client's rate ends with it.
func TestCatchUpsHaveAPace(t *testing.T) {
	h := New(&Shared{}, &conn.Shared{}, &Options{}, &limit.Clients{Started: time.Now()}, slog.New(slog.DiscardHandler))
	s := &h.catchUps
	const eager, calm = 1, 2
	mib := []*message.Message{message.New("c", message.Position{Ms: 1}, 1, make([]byte, 1<<20))}
	for range 6 {
		s.charge(eager, mib)
	}
	s.charge(calm, mib)
	if s.paced(eager) || !s.paced(calm) {
		t.Errorf("after 6 MiB: %v, after 1 MiB: %v", s.paced(eager), s.paced(calm))
	}
	for range 100 {
		s.charge(eager, mib)
	}
	if ahead := s.paces.At(eager).Ahead(h.Limits.Uptime(), 2*mostDebt); ahead > mostDebt {
		t.Errorf("it is to wait for %v", ahead)
	}
	s.forget(eager)
	if !s.paced(eager) {
		t.Error("the next client in its slot waits too")
	}
}
