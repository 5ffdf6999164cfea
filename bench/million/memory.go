package million

import (
	"fmt"
	"math"
	"os"

	"github.com/prometheus/procfs"

	"github.com/pushgate/pushgate/internal/probe"
)

// memory is the memory of the gateway's process and of the kernel, in bytes. The
// kernel's part is of both ends of all connections, as both are on this box.
type memory struct {
	RSS         int64 `json:"rss"`
	Anon        int64 `json:"rss_anon"`
	File        int64 `json:"rss_file"`
	Slab        int64 `json:"slab"`
	PageTables  int64 `json:"page_tables"`
	Percpu      int64 `json:"percpu"`
	Vmalloc     int64 `json:"vmalloc"`
	Free        int64 `json:"free"` // of the whole box
	Sockets     int64 `json:"sockets"`
	SocketPages int64 `json:"socket_pages"` // bytes of socket buffers

	// Of Go's runtime in the gateway, from its metrics.
	HeapLive     int64 `json:"heap_live"` // objects, dead ones not yet swept included
	HeapSpans    int64 `json:"heap_spans"`
	HeapIdle     int64 `json:"heap_idle"` // kept, neither in use nor given back
	HeapNext     int64 `json:"heap_next"` // at which the collector starts next
	RuntimeOther int64 `json:"runtime_other"`
	Goroutines   int64 `json:"goroutines"`
}

// processMemory reads the process's resident memory. With exact the kernel
// walks its page tables; without, the figures may be some pages off.
func processMemory(pid int, exact bool) (m memory, err error) {
	name, keys := fmt.Sprintf("/proc/%d/status", pid), [3]string{"VmRSS", "RssAnon", "RssFile"}
	if exact {
		name, keys = fmt.Sprintf("/proc/%d/smaps_rollup", pid), [3]string{"Rss", "Anonymous", ""}
	}
	fields, err := kilobytes(name)
	if err != nil {
		return m, err
	}
	m.RSS, m.Anon = fields[keys[0]], fields[keys[1]]
	m.File = m.RSS - m.Anon
	return m, nil
}

// kilobytes are sizes that may be subtracted.
func kilobytes(file string) (map[string]int64, error) {
	sizes, err := probe.Kilobytes(file)
	signed := make(map[string]int64, len(sizes))
	for name, v := range sizes {
		signed[name] = int64(v)
	}
	return signed, err
}

// addKernel reads the kernel's memory, for all of the box.
func (m *memory) addKernel() error {
	fields, err := kilobytes("/proc/meminfo")
	if err != nil {
		return err
	}
	m.Slab, m.PageTables, m.Percpu = fields["Slab"], fields["PageTables"], fields["Percpu"]
	m.Vmalloc, m.Free = fields["VmallocUsed"], fields["MemFree"]
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return err
	}
	stat, err := fs.NetSockstat()
	if err != nil {
		return err
	}
	for _, p := range stat.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			m.Sockets, m.SocketPages = int64(p.InUse), int64(*p.Mem*os.Getpagesize())
		}
	}
	return nil
}

// addRuntime takes the runtime's figures out of the gateway's metrics.
func (m *memory) addRuntime(s probe.Metrics) {
	m.HeapLive = int64(s["go_memstats_heap_alloc_bytes"])
	m.HeapSpans = int64(s["go_memstats_heap_inuse_bytes"])
	m.HeapIdle = int64(s["go_memstats_heap_idle_bytes"] - s["go_memstats_heap_released_bytes"])
	m.HeapNext = int64(s["go_memstats_next_gc_bytes"])
	m.RuntimeOther = int64(s["go_memstats_sys_bytes"] - s["go_memstats_heap_sys_bytes"])
	m.Goroutines = int64(s["go_goroutines"])
}

// lag says how long the gateway's loops let a post wait, in one step of the
// course.
type lag struct {
	Posts   int     `json:"posts"`
	Mean    float64 `json:"mean"` // seconds
	P99     float64 `json:"p99"`  // the bound of the bucket that it is in; 0: above all of them
	Slowest float64 `json:"slowest"`
}

const lagSeries = "gateway_loop_lag_seconds"

// lagBetween compares two readings of the gateway's metrics.
func lagBetween(before, after probe.Metrics) lag {
	count := after[lagSeries+"_count"] - before[lagSeries+"_count"]
	if count == 0 {
		return lag{}
	}
	bound := func(share float64) float64 {
		if v := after.Quantile(share, lagSeries, before); !math.IsInf(v, 0) {
			return v
		}
		return 0
	}
	return lag{Posts: int(count), Mean: (after[lagSeries+"_sum"] - before[lagSeries+"_sum"]) / count, P99: bound(0.99), Slowest: bound(1)}
}
