package gateway

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/fanout/message"
)

// Waiting requests are found by their client, however many there are, and are served in order.
func TestWaiters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l waiters
		var model []*waiter
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			w := &waiter{slot: rapid.Uint32Range(1, 20).Draw(t, "slot")}
			if rapid.Bool().Draw(t, "catches up") {
				w.since = make([]message.Position, 1)
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

// BenchmarkWaiters adds and removes a request while n others wait.
func BenchmarkWaiters(b *testing.B) {
	for name, n := range map[string]int{"others=1": 1, "others=1000": 1000, "others=100000": 100_000} {
		b.Run(name, func(b *testing.B) {
			s := newStill(b, nil)
			ch := s.index.Open([]byte("c"))
			j := new(join)
			s.joins[ch] = j
			for i := range n {
				j.waiting.add(&waiter{slot: uint32(i)})
			}
			w := &waiter{slot: uint32(n)}
			for b.Loop() {
				j.waiting.add(w)
				if !s.pending(w.slot, &join{asked: true}, false) {
					b.Fatal("it doesn't wait")
				}
				s.forget(w.slot, ch)
			}
			if j.waiting.n != n {
				b.Fatalf("%d are left", j.waiting.n)
			}
		})
	}
}
