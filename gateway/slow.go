package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// SlowPolicy is the treatment of a client that reads a channel's messages more slowly than they are
// published, once its backlog exceeds limits.queue_bytes.
type SlowPolicy string

const (
	// SlowDisconnect closes the connection with 4002. The client reconnects with its last position
	// and catches up at its own pace.
	SlowDisconnect SlowPolicy = "disconnect"
	// SlowDropOldest drops the oldest queued messages, and sends a gap notice in their place.
	SlowDropOldest SlowPolicy = "drop_oldest"
	// SlowLatest keeps only the newest message of the channel, for channels whose every message is
	// complete: a price, a position on a map.
	SlowLatest SlowPolicy = "latest"
)

// Overflow keeps a client's queue within its bound by the policies of the channels in it, and closes
// the client if that isn't enough.
func (s *shard) Overflow(i uint32, q *queue.Queue) {
	c := s.client(i)
	if c.phase != phaseOpen || c.kind == kindEcho {
		return
	}
	n, ok := q.Bound(s.cfg.Limits.QueueBytes, func(o *queue.Origin) []byte {
		return gapNotice(o.Channel, fanout.Gap{Since: o.Before, Reason: fanout.GapSlow}).Encoded(c.form())
	})
	s.stats.drops[reasons.DropOldest] += uint64(n)
	if !ok {
		s.end(i, c, reasons.CloseSlow)
	}
}

// Lossy reports whether the messages of o are to be queued one by one, because their channel's
// policy drops messages. Any other batch stays one item.
func (s *shard) Lossy(i uint32, o *conn.Out) (kind queue.Kind, yes bool) {
	if s.client(i).phase != phaseOpen {
		return 0, false
	}
	switch s.cfg.rules.of(o.Message.Channel).slow() {
	case SlowLatest:
		return queue.Latest, true
	case SlowDropOldest:
		return 0, true
	}
	return 0, false
}

// Evict closes a client with one of the largest queues while all queues together exceed
// limits.total_queue_bytes.
func (s *shard) Evict(i uint32) {
	if c := s.client(i); c.phase == phaseOpen {
		s.end(i, c, reasons.CloseOverload)
		return
	}
	s.conns.Release(i, reasons.CloseOverload) // a response is all or nothing
}
