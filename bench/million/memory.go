package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/bench/rig"
)

// memory is what the gateway's process and the kernel hold, in bytes. The
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

// processMemory reads what the process has resident. With exact the kernel
// walks its page tables; without, the figures may be some pages off.
func processMemory(pid int, exact bool) (m memory, err error) {
	name, keys := fmt.Sprintf("/proc/%d/status", pid), [3]string{"VmRSS", "RssAnon", "RssFile"}
	if exact {
		name, keys = fmt.Sprintf("/proc/%d/smaps_rollup", pid), [3]string{"Rss", "Anonymous", ""}
	}
	fields, err := rig.Kilobytes(name)
	if err != nil {
		return m, err
	}
	m.RSS, m.Anon = fields[keys[0]], fields[keys[1]]
	m.File = m.RSS - m.Anon
	return m, nil
}

// addKernel reads what the kernel holds for all of the box.
func (m *memory) addKernel() error {
	fields, err := rig.Kilobytes("/proc/meminfo")
	if err != nil {
		return err
	}
	m.Slab, m.PageTables, m.Percpu = fields["Slab"], fields["PageTables"], fields["Percpu"]
	m.Vmalloc, m.Free = fields["VmallocUsed"], fields["MemFree"]
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(words); i += 2 {
			n, _ := strconv.ParseInt(words[i+1], 10, 64)
			switch words[i] {
			case "inuse":
				m.Sockets = n
			case "mem":
				m.SocketPages = n * int64(os.Getpagesize())
			}
		}
	}
	return nil
}

// addRuntime takes the runtime's figures out of the gateway's metrics.
func (m *memory) addRuntime(s scrape) {
	m.HeapLive = int64(s["go_memstats_heap_alloc_bytes"])
	m.HeapSpans = int64(s["go_memstats_heap_inuse_bytes"])
	m.HeapIdle = int64(s["go_memstats_heap_idle_bytes"] - s["go_memstats_heap_released_bytes"])
	m.HeapNext = int64(s["go_memstats_next_gc_bytes"])
	m.RuntimeOther = int64(s["go_memstats_sys_bytes"] - s["go_memstats_heap_sys_bytes"])
	m.Goroutines = int64(s["go_goroutines"])
}
