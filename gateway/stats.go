package gateway

import (
	"maps"
	"time"

	"pushgate/gateway/auth"
)

// stats are a shard's counters, owned by its loop. The metrics collector asks
// the loop for a copy.
type stats struct {
	accepts    uint64
	handshakes map[HandshakeResult]uint64
	deliveries uint64 // messages handed to the kernel or to a queue
	bytesIn    uint64
	bytesOut   uint64
	pings      uint64
	batched    uint64 // sends that went through io_uring
	closes     map[CloseReason]uint64
	rejects    map[RejectReason]uint64
	tokens     map[auth.Reason]uint64 // refused
	drops      map[DropReason]uint64
	lag        lag

	// Gauges
	clients       [kindCount]int // open connections
	queueBytes    int64
	subscriptions int
	// Filled in by snapshot
	connections, queues, channels int
}

// HandshakeResult says how a request for a WebSocket ended.
type HandshakeResult string

const (
	HandshakeOK     HandshakeResult = "ok"
	HandshakeFailed HandshakeResult = "failed"
)

func newStats() stats {
	return stats{
		handshakes: map[HandshakeResult]uint64{HandshakeOK: 0, HandshakeFailed: 0},
		closes:     make(map[CloseReason]uint64),
		rejects:    make(map[RejectReason]uint64),
		tokens:     make(map[auth.Reason]uint64),
		drops:      make(map[DropReason]uint64),
	}
}

// lagBounds are the upper bounds of the buckets in which loop lag is counted.
var lagBounds = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second,
}

// lag is a histogram of the time between a post to the loop and its run: what
// an event waits for its turn.
type lag struct {
	buckets [len(lagBounds) + 1]uint64
	count   uint64
	sum     time.Duration
}

func (l *lag) observe(d time.Duration) {
	b := 0
	for b < len(lagBounds) && d > lagBounds[b] {
		b++
	}
	l.buckets[b]++
	l.count++
	l.sum += d
}

// snapshot returns a copy of the counters; ok is false when the loop didn't
// answer in time.
func (s *shard) snapshot() (st stats, ok bool) {
	copied := make(chan stats, 1) // sent to once by the loop
	s.post(func() {
		c := s.stats
		c.handshakes, c.closes, c.rejects = maps.Clone(c.handshakes), maps.Clone(c.closes), maps.Clone(c.rejects)
		c.tokens, c.drops = maps.Clone(c.tokens), maps.Clone(c.drops)
		c.connections, c.queues, c.channels = s.conns.used, s.queues.used(), s.index.Channels()
		copied <- c
	})
	select {
	case st = <-copied:
		return st, true
	case <-time.After(time.Second):
		return stats{}, false
	}
}
