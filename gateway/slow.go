package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// SlowPolicy says what happens to a client that reads a channel's messages more
// slowly than they come, once more than limits.queue_bytes wait behind the one
// that is being sent to it.
type SlowPolicy string

const (
	// SlowDisconnect ends the connection with 4002. The client comes back with
	// its last position and catches up in its own time.
	SlowDisconnect SlowPolicy = "disconnect"
	// SlowDropOldest drops the oldest messages that wait, and tells the client
	// of the gap in their place.
	SlowDropOldest SlowPolicy = "drop_oldest"
	// SlowLatest keeps only the newest message of the channel, for channels
	// whose messages each say all: a price, a position on a map.
	SlowLatest SlowPolicy = "latest"
)

// overflow keeps a client's queue within its bound by the policies of the
// channels in it, and ends the client where that doesn't help.
func (s *shard) overflow(i uint32, c *conn, q *queue.Queue) {
	n, ok := q.Bound(s.cfg.Limits.QueueBytes, func(o *queue.Origin) []byte {
		return gapNotice(o.Channel, fanout.Gap{Since: o.Before, Reason: fanout.GapSlow}).Encoded(c.form())
	})
	s.stats.drops[reasons.DropOldest] += uint64(n)
	if !ok {
		s.end(i, c, reasons.CloseSlow)
	}
}

// lossy reports whether the messages of something are to be queued one by one,
// because their channel's policy drops messages. Any other batch stays one item.
// Only what the kernel refuses comes here, so that a batch costs nothing more
// where it is taken.
func (s *shard) lossy(c *conn, o *outgoing) (kind queue.Kind, yes bool) {
	if o.message == nil || c.phase != phaseOpen {
		return 0, false
	}
	switch s.cfg.rules.of(o.message.Channel).slow() {
	case SlowLatest:
		return queue.Latest, true
	case SlowDropOldest:
		return 0, true
	}
	return 0, false
}

// enqueueEach queues the messages of a batch each for itself.
func (s *shard) enqueueEach(i uint32, c *conn, o outgoing, kind queue.Kind) {
	if o.batch == nil {
		s.enqueueOne(i, c, &o, s.originOf(&o), kind)
		return
	}
	form := c.form()
	for _, m := range o.batch {
		one := outgoing{b: m.Encoded(form), sent: o.sent, message: m}
		if o.sent >= len(one.b) {
			o.sent -= len(one.b)
			continue
		}
		o.sent = 0
		if s.enqueueOne(i, c, &one, s.originOf(&one), kind); c.phase != phaseOpen {
			return
		}
	}
}

// originOf returns where a message comes from, nil for what can't be dropped: a
// notice, and what has begun to be sent.
func (s *shard) originOf(o *outgoing) *queue.Origin {
	if o.sent > 0 || o.message.Notice() {
		return nil
	}
	return s.origins.Of(o.message)
}
