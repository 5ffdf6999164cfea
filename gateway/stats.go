package gateway

import (
	"maps"
	"sync"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// stats are a shard's counters, owned by its loop. The metrics collector gets copies.
type stats struct {
	conns      conn.Stats // filled in by snapshot
	handshakes map[reasons.Handshake]uint64
	deliveries uint64 // messages handed to the kernel or to a queue
	pings      uint64
	rejects    map[reasons.Reject]uint64
	tokens     map[auth.Reason]uint64 // refused
	drops      map[reasons.Drop]uint64
	published  map[reasons.Publish]uint64
	lag        histogram // from a post to the loop to its run
	delivery   histogram // of a message, from Redis to the last of the shard's subscribers

	// Gauges
	clients       [kindCount]int // open connections
	subscriptions int
	// Filled in by snapshot
	queueBytes                    int64
	connections, queues, channels int
}

// newStats returns counters with a zero for each reason: a rate over a series that starts with its
// first incident would miss it.
func newStats() stats {
	return stats{
		handshakes: zeros(reasons.HandshakeOK, reasons.HandshakeFailed),
		conns:      conn.Stats{Closes: zeros(reasons.Closes...)},
		rejects:    zeros(reasons.Rejects...),
		tokens:     zeros(auth.Reasons()...),
		drops:      zeros(reasons.Drops...),
		published:  zeros(reasons.PublishOK, reasons.PublishFailed),
	}
}

func zeros[K comparable](keys ...K) map[K]uint64 {
	m := make(map[K]uint64, len(keys))
	for _, k := range keys {
		m[k] = 0
	}
	return m
}

// timeBounds are the upper bounds of a histogram's buckets.
var timeBounds = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
}

// histogram counts durations.
type histogram struct {
	buckets [len(timeBounds) + 1]uint64
	count   uint64
	sum     time.Duration
}

func (h *histogram) observe(d time.Duration) {
	b := 0
	for b < len(timeBounds) && d > timeBounds[b] {
		b++
	}
	h.buckets[b]++
	h.count++
	h.sum += d
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.sum += o.sum
}

// sharedHistogram is for durations observed outside of the loops.
type sharedHistogram struct {
	mu sync.Mutex
	h  histogram // guarded by mu
}

func (s *sharedHistogram) observe(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h.observe(d)
}

func (s *sharedHistogram) copy() histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h
}

// snapshot returns a copy of the counters; ok is false if the loop didn't respond in time.
func (s *shard) snapshot() (st stats, ok bool) {
	copied := make(chan stats, 1) // sent to once by the loop
	s.post(func() {
		c := s.stats
		c.conns = s.conns.Stats().Clone()
		c.handshakes, c.rejects = maps.Clone(c.handshakes), maps.Clone(c.rejects)
		c.tokens, c.drops, c.published = maps.Clone(c.tokens), maps.Clone(c.drops), maps.Clone(c.published)
		c.connections, c.channels = s.conns.Used(), s.index.Channels()
		c.queues, c.queueBytes = s.conns.Queues()
		copied <- c
	})
	select {
	case st = <-copied:
		return st, true
	case <-time.After(time.Second):
		return stats{}, false
	}
}
