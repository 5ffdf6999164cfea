package index

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

const benchEntries = 1_000_000

// BenchmarkIndexMemory prints the heap cost of a channel and a subscription, tables, names and
// lookup together, and the time of a collection with them.
func BenchmarkIndexMemory(b *testing.B) {
	lists := make([]List, benchEntries)
	report := func(b *testing.B, unit string, build func(x *Index)) {
		for b.Loop() {
			clear(lists)
			before := gatewaytest.HeapInUse()
			x := New()
			build(x)
			b.ReportMetric(float64(gatewaytest.HeapInUse()-before)/benchEntries, unit)
			began := time.Now()
			runtime.GC()
			b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/gc")
			runtime.KeepAlive(x)
		}
	}
	b.Run("personal", func(b *testing.B) {
		report(b, "B/channel+subscription", func(x *Index) {
			name := []byte("user.")
			for i := range lists {
				ch := x.Open(strconv.AppendInt(name[:5], int64(i)+1_000_000, 10))
				x.Subscribe(&lists[i], uint32(i), ch)
			}
		})
	})
	b.Run("shared", func(b *testing.B) {
		report(b, "B/subscription", func(x *Index) {
			ch := x.Open([]byte("news"))
			for i := range lists {
				x.Subscribe(&lists[i], uint32(i), ch)
			}
		})
	})
}

// BenchmarkDeliver is the index's own cost of one send.
func BenchmarkDeliver(b *testing.B) {
	for name, batch := range map[string]int{"single": 1, "batch": 16} {
		b.Run(name, func(b *testing.B) {
			x := New()
			ch, _ := fill(x, "c", 100_000)
			m := message.New("c", message.Position{}, 1, []byte("1"))
			sends, size := 0, 0
			send := func(_ uint32, b *Batch) { size += len(b.Encoded(message.FormText)) }
			b.ReportAllocs()
			for b.Loop() {
				for range batch {
					x.Publish(ch, m)
				}
				for more := true; more; {
					var n int
					n, more = x.Deliver(256, send)
					sends += n
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sends), "ns/send")
		})
	}
}

// BenchmarkSubscribe and BenchmarkUnsubscribe work on a channel of 100,000,
// leaving from the middle.
func BenchmarkSubscribe(b *testing.B) {
	x := New()
	ch, _ := fill(x, "c", 100_000)
	lists := make([]List, 10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == len(lists) {
			b.StopTimer()
			for j := range lists {
				x.Unsubscribe(&lists[j], ch)
			}
			i = 0
			b.StartTimer()
		}
		x.Subscribe(&lists[i], uint32(i), ch)
	}
}

func BenchmarkUnsubscribe(b *testing.B) {
	x := New()
	ch, lists := fill(x, "c", 100_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == len(lists) {
			b.StopTimer()
			for j := range lists {
				x.Subscribe(&lists[j], uint32(j), ch)
			}
			i = 0
			b.StartTimer()
		}
		x.Unsubscribe(&lists[(i*7919)%len(lists)], ch)
	}
}

// resubscribing returns a function that has a client of n channels leave one and subscribe to
// it again, each time far from the last in its list.
func resubscribing(n int) func() {
	x := New()
	var l List
	channels := make([]Channel, n)
	for i := range channels {
		channels[i] = x.Open(strconv.AppendInt([]byte("user."), int64(i), 10))
		x.Subscribe(&l, 1, channels[i])
	}
	at := 0
	return func() {
		at = (at + n/2 + 1) % n
		x.Unsubscribe(&l, channels[at])
		x.Subscribe(&l, 1, channels[at])
	}
}

// BenchmarkResubscribe has a client leave one of its channels and subscribe to it again.
func BenchmarkResubscribe(b *testing.B) {
	for _, n := range []int{1, 10, 100, 4096} {
		b.Run("channels="+strconv.Itoa(n), func(b *testing.B) {
			turn := resubscribing(n)
			b.ReportAllocs()
			for b.Loop() {
				turn()
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	x := New()
	names := make([][]byte, 100_000)
	for i := range names {
		names[i] = strconv.AppendInt([]byte("user."), int64(i), 10)
		x.Open(names[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := x.Lookup(names[(i*7919)%len(names)]); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkOpen makes a million channels and prints the longest that one of
// them takes, as it makes its part of the lookup grow. The best of the rounds
// counts, because the longest is also when the machine did something else.
func BenchmarkOpen(b *testing.B) {
	best, rounds := time.Hour, 0
	for b.Loop() {
		x := New()
		name := []byte("user.")
		var longest time.Duration
		for i := range int64(benchEntries) {
			began := time.Now()
			x.Open(strconv.AppendInt(name[:5], i, 10))
			longest = max(longest, time.Since(began))
		}
		best = min(best, longest)
		rounds++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds)/benchEntries, "ns/channel")
	b.ReportMetric(float64(best.Microseconds()), "us/longest")
}
