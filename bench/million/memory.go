package million

import (
	"math"

	"github.com/pushgate/pushgate/internal/probe"
)

// memory is the memory of the gateway's process and of the kernel, in bytes. The
// kernel's part is of both ends of all connections, as both are on this box.
type memory struct {
	RSS         int64 `json:"rss"`
	Anon        int64 `json:"rss_anon"`
	Slab        int64 `json:"slab"`
	PageTables  int64 `json:"page_tables"`
	Percpu      int64 `json:"percpu"`
	Vmalloc     int64 `json:"vmalloc"`
	Free        int64 `json:"free"` // of the whole box
	Sockets     int64 `json:"sockets"`
	SocketPages int64 `json:"socket_pages"` // bytes of socket buffers

	// Of Go's runtime in the gateway, from its metrics.
	HeapSpans    int64 `json:"heap_spans"`
	HeapIdle     int64 `json:"heap_idle"` // kept, neither in use nor given back
	HeapNext     int64 `json:"heap_next"` // at which the collector starts next
	RuntimeOther int64 `json:"runtime_other"`
	Goroutines   int64 `json:"goroutines"`
}

// readMemory has the kernel walk the process's page tables for exact figures.
func readMemory(pid int, kernel *probe.Kernel, s probe.Metrics) (memory, error) {
	process, err := probe.Rollup(pid)
	if err != nil {
		return memory{}, err
	}
	box, err := probe.Kilobytes("/proc/meminfo")
	if err != nil {
		return memory{}, err
	}
	k, err := kernel.Sample()
	return memory{
		RSS: int64(process["Rss"]), Anon: int64(process["Anonymous"]),
		PageTables: int64(box["PageTables"]), Percpu: int64(box["Percpu"]), Vmalloc: int64(box["VmallocUsed"]), Free: int64(box["MemFree"]),
		Slab: int64(k.Slab), Sockets: int64(k.Sockets), SocketPages: int64(k.TCPMemory),
		HeapSpans:    int64(s["go_memstats_heap_inuse_bytes"]),
		HeapIdle:     int64(s["go_memstats_heap_idle_bytes"] - s["go_memstats_heap_released_bytes"]),
		HeapNext:     int64(s["go_memstats_next_gc_bytes"]),
		RuntimeOther: int64(s["go_memstats_sys_bytes"] - s["go_memstats_heap_sys_bytes"]),
		Goroutines:   int64(s["go_goroutines"]),
	}, err
}

// lag says how long the gateway's loops let a post wait, in one step of the
// course.
type lag struct {
	Posts int     `json:"posts"`
	P99   float64 `json:"p99"` // seconds, the bound of the bucket that it is in; 0: above all of them
}

const lagSeries = "gateway_loop_lag_seconds"

// lagBetween compares two readings of the gateway's metrics.
func lagBetween(before, after probe.Metrics) lag {
	l := lag{Posts: int(after[lagSeries+"_count"] - before[lagSeries+"_count"])}
	if p99 := after.Quantile(0.99, lagSeries, before); l.Posts > 0 && !math.IsInf(p99, 0) {
		l.P99 = p99
	}
	return l
}
