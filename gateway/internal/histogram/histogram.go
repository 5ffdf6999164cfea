// Package histogram counts durations in buckets, for metrics.
package histogram

import (
	"sync"
	"time"
)

// Bounds are the upper bounds of the buckets.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
}

// Histogram counts durations.
type Histogram struct {
	Buckets [len(Bounds) + 1]uint64
	Count   uint64
	Sum     time.Duration
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	b := 0
	for b < len(Bounds) && d > Bounds[b] {
		b++
	}
	h.Buckets[b]++
	h.Count++
	h.Sum += d
}

// Add adds the durations of another one.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
	h.Count += o.Count
	h.Sum += o.Sum
}

// Shared is a Histogram for any goroutine.
type Shared struct {
	mu sync.Mutex
	h  Histogram // guarded by mu
}

// Observe counts a duration.
func (s *Shared) Observe(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h.Observe(d)
}

// Copy returns the histogram as it is now.
func (s *Shared) Copy() Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h
}
