package heartbeat

import (
	"runtime"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

const benchIDs = 1_000_000

func fillWheel(size int, interval uint32) *Wheel {
	w := New(size)
	for id := range uint32(benchIDs) {
		w.Set(id, w.Spread(interval))
	}
	return w
}

// BenchmarkMemory prints the heap that an id costs.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		before := gatewaytest.HeapInUse()
		w := fillWheel(256, 250)
		b.ReportMetric(float64(gatewaytest.HeapInUse()-before)/benchIDs, "B/id")
		runtime.KeepAlive(w)
	}
}

// BenchmarkAdvance is the cost of one id that fires and is set anew, with a
// million in the wheel.
func BenchmarkAdvance(b *testing.B) {
	for name, size := range map[string]int{"interval within size": 256, "interval of four turns": 64} {
		b.Run(name, func(b *testing.B) {
			const interval = 250
			w := fillWheel(size, interval)
			fired := 0
			fire := func(id uint32) {
				fired++
				w.Set(id, w.Now()+interval)
			}
			b.ReportAllocs()
			for b.Loop() {
				tick := w.Now() + 1
				for more := true; more; {
					_, more = w.Advance(tick, 1000, fire)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fired), "ns/fire")
		})
	}
}

// BenchmarkSet moves ids of a full wheel about, as reads do.
func BenchmarkSet(b *testing.B) {
	w := fillWheel(256, 250)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		w.Set(i*7919%benchIDs, i%250+1)
	}
}

func BenchmarkCancel(b *testing.B) {
	w := fillWheel(256, 250)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		if i == benchIDs {
			b.StopTimer()
			for id := range uint32(benchIDs) {
				w.Set(id, w.Spread(250))
			}
			i = 0
			b.StartTimer()
		}
		w.Cancel(i * 7919 % benchIDs)
	}
}
