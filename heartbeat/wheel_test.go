package heartbeat

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// wheelModel is a Wheel made of a map.
type wheelModel struct {
	t   *rapid.T
	w   *Wheel
	now uint32
	due map[uint32]uint32
	// owed are the ids that the Advance under way may still fire.
	owed map[uint32]bool
}

// isAfter compares ticks by counting from 2^31 before the present one.
func (m *wheelModel) isAfter(a, b uint32) bool {
	origin := m.now - 1<<31
	return a-origin > b-origin
}

func (m *wheelModel) drawID() uint32 {
	return rapid.SampledFrom([]uint32{0, 1, 2, 3, 5, 8, chunkSize - 1, chunkSize, 3 * chunkSize}).Draw(m.t, "id")
}

func (m *wheelModel) set() {
	id := m.drawID()
	due := m.now + uint32(rapid.Int32Range(-20, 60).Draw(m.t, "distance"))
	m.w.Set(id, due)
	m.due[id] = due
	delete(m.owed, id)
}

func (m *wheelModel) cancel() {
	id := m.drawID()
	m.w.Cancel(id)
	delete(m.due, id)
	delete(m.owed, id)
}

func (m *wheelModel) advance() {
	to := m.now + uint32(rapid.SampledFrom([]int32{0, 0, 1, 1, 2, 3, 10, 40, -1, -5}).Draw(m.t, "ticks"))
	limit := rapid.IntRange(0, 5).Draw(m.t, "max")
	if m.isAfter(to, m.now) {
		m.now = to
	}
	m.owed = map[uint32]bool{}
	for id, due := range m.due {
		if !m.isAfter(due, m.now) {
			m.owed[id] = true
		}
	}
	fired := 0
	n, more := m.w.Advance(to, limit, func(id uint32) {
		fired++
		if !m.owed[id] {
			m.t.Fatalf("%d fires at %d, its tick is %d", id, m.now, m.due[id])
		}
		delete(m.owed, id)
		delete(m.due, id)
		m.check(m.t)
		for range rapid.IntRange(0, 3).Draw(m.t, "changes in fire") {
			rapid.SampledFrom([]func(){m.set, m.cancel}).Draw(m.t, "change")()
			m.check(m.t)
		}
	})
	if n != fired || n > limit {
		m.t.Fatalf("Advance(%d, %d) = %d, fired %d times", to, limit, n, fired)
	}
	if more != (len(m.owed) > 0) {
		m.t.Fatalf("Advance(%d, %d) = %d, %v with %v left", to, limit, n, more, m.owed)
	}
	m.owed = nil
}

func (m *wheelModel) check(t *rapid.T) {
	if m.w.Now() != m.now || m.w.Len() != len(m.due) {
		t.Fatalf("at %d with %d ids, want %d with %d", m.w.Now(), m.w.Len(), m.now, len(m.due))
	}
	for _, id := range []uint32{0, 1, 2, 3, 5, 8, 9, chunkSize - 1, chunkSize, 3 * chunkSize, 1 << 30} {
		want, set := m.due[id]
		if got, ok := m.w.Due(id); ok != set || ok && got != want {
			t.Fatalf("Due(%d) = %d, %v, want %d, %v", id, got, ok, want, set)
		}
	}
}

func TestWheelModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &wheelModel{t: t, due: map[uint32]uint32{}}
		m.w = New(1 << rapid.IntRange(0, 5).Draw(t, "size"))
		if rapid.Bool().Draw(t, "near the wrap") {
			for _, m.now = range []uint32{math.MaxInt32, math.MaxUint32 - 6} {
				if n, more := m.w.Advance(m.now, 1, nil); n != 0 || more {
					t.Fatalf("an empty wheel fires %d, more %v", n, more)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { m.t = t; m.check(t) },
			"set": func(t *rapid.T) {
				m.t = t
				for range rapid.IntRange(1, 5).Draw(t, "sets") {
					m.set()
				}
			},
			"cancel":  func(t *rapid.T) { m.t = t; m.cancel() },
			"advance": func(t *rapid.T) { m.t = t; m.advance() },
		})
	})
}

func TestNewRefuses(t *testing.T) {
	for name, size := range map[string]int{"zero": 0, "negative": -8, "no power of two": 12, "too large": 1 << 25} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%d) did not panic", size)
				}
			}()
			New(size)
		})
	}
}

// TestAdvanceEnds sets every id anew to a tick that has passed.
func TestAdvanceEnds(t *testing.T) {
	w := New(8)
	for id := range uint32(10) {
		w.Set(id, 1)
	}
	for call := range 3 {
		n, more := w.Advance(5, 100, func(id uint32) { w.Set(id, 2) })
		if n != 10 || more {
			t.Fatalf("call %d: Advance = %d, %v, want 10, false", call, n, more)
		}
	}
}

// TestRescheduleStaysEven runs the wheel as a shard does: ids are due every
// interval and stay as evenly spread as they began.
func TestRescheduleStaysEven(t *testing.T) {
	const ids, interval, start = 1000, 50, 12345
	w := New(64)
	w.Advance(start, 1, nil)
	for id := range uint32(ids) {
		w.Set(id, w.Spread(interval))
	}
	var fired [interval]int
	for tick := uint32(start + 1); tick <= start+10*interval; tick++ {
		n, more := w.Advance(tick, ids, func(id uint32) { w.Set(id, tick+interval) })
		if more || n < ids/interval-3 || n > ids/interval+3 {
			t.Fatalf("%d ids fire at %d, more %v, want about %d", n, tick, more, ids/interval)
		}
		before := &fired[tick%interval]
		if tick > start+interval && n != *before {
			t.Fatalf("%d ids fire at %d, %d an interval before", n, tick, *before)
		}
		*before = n
	}
}

func TestSpread(t *testing.T) {
	tests := map[string]struct {
		start    uint32
		interval uint32
		calls    int
		between  func(call int) uint32 // ticks
	}{
		"at once":        {0, 250, 100_000, func(int) uint32 { return 0 }},
		"one interval":   {777, 100, 100, func(int) uint32 { return 0 }},
		"one a tick":     {0, 250, 50_000, func(int) uint32 { return 1 }},
		"in bunches":     {5, 25, 50_000, func(call int) uint32 { return uint32(call % 100 / 99 * 7) }},
		"one a interval": {5, 25, 10_000, func(int) uint32 { return 25 }},
		"one tick":       {5, 1, 10, func(int) uint32 { return 0 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := New(16)
			w.Advance(tt.start, 1, nil)
			phases := make([]int, tt.interval)
			for call := range tt.calls {
				tick := w.Spread(tt.interval)
				if d := tick - w.Now(); d < 1 || d > tt.interval {
					t.Fatalf("tick is %d ahead, want 1 to %d", d, tt.interval)
				}
				phases[tick%tt.interval]++
				w.Advance(w.Now()+tt.between(call), 1, nil)
			}
			even := tt.calls / int(tt.interval)
			for phase, n := range phases {
				if n < even-3 || n > even+3 {
					t.Fatalf("phase %d has %d ids, want %d", phase, n, even)
				}
			}
		})
	}
	w := New(16)
	w.Advance(9, 1, nil)
	if got := w.Spread(0); got != 10 {
		t.Errorf("Spread(0) at 9 = %d, want 10", got)
	}
}

func TestSpreadAcrossTheWrap(t *testing.T) {
	w := New(16)
	w.Advance(math.MaxInt32, 1, nil)
	w.Advance(math.MaxUint32-3, 1, nil)
	for range 100 {
		if d := w.Spread(10) - w.Now(); d < 1 || d > 10 {
			t.Fatalf("tick is %d ahead, want 1 to 10", d)
		}
	}
}

// TestSize guards the struct that exists a million times.
func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(entry{}); got != 12 {
		t.Errorf("an entry has %d bytes, want 12", got)
	}
	text, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if row := fmt.Sprintf("| deadline | %d |", unsafe.Sizeof(entry{})); err != nil || !strings.Contains(string(text), row) {
		t.Errorf("ARCHITECTURE.md has no row %q: %v", row, err)
	}
}

func TestWheelAllocatesNothing(t *testing.T) {
	const ids = 1000
	w := New(64)
	for id := range uint32(ids) {
		w.Set(id, w.Spread(50))
	}
	fire := func(id uint32) { w.Set(id, w.Now()+50) }
	n := testing.AllocsPerRun(200, func() {
		w.Set(7, w.Spread(50))
		w.Cancel(8)
		w.Advance(w.Now()+1, ids, fire)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
