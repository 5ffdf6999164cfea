package gateway

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// A million connections hold nothing for the collector to scan.
func TestConnectionsAreNotScanned(t *testing.T) {
	const connections = 1_000_000
	s := newStill(t, nil)
	scannable := []metrics.Sample{{Name: "/gc/scan/heap:bytes"}, {Name: "/gc/heap/live:bytes"}}
	read := func() (scanned, live float64) {
		runtime.GC()
		metrics.Read(scannable)
		return float64(scannable[0].Value.Uint64()), float64(scannable[1].Value.Uint64())
	}
	scanned, live := read()
	s.fill(connections)
	scannedAfter, liveAfter := read()
	if each := (liveAfter - live) / connections; each < 60 || each > 100 {
		t.Errorf("a connection holds %.1f B of the heap, want 80, more or less", each)
	}
	// The tables of the chunks have pointers, 8 bytes for thousands of entries.
	if each := (scannedAfter - scanned) / connections; each > 0.5 {
		t.Errorf("%.1f B of a connection are looked through", each)
	}
	runtime.KeepAlive(s)
}
