package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
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

// DropReason says why a message was not delivered to a client.
type DropReason string

const (
	DropOldest  DropReason = "drop_oldest"
	DropLatest  DropReason = "latest"
	DropOverrun DropReason = "overrun" // the gateway itself could not keep up

	// DropTooLarge is of a message that no client gets: limits.payload_bytes.
	DropTooLarge DropReason = "too_large"
)

// dropReasons are all of them, for those who count them.
var dropReasons = []DropReason{DropOldest, DropLatest, DropOverrun}

// enough is the part of its bound, in quarters, that a queue is dropped to, so
// that those of a channel are dropped in a row, of which one gap tells.
const enough = 3

// overflow keeps a client's queue within its bound by the policies of the
// channels in it, and ends the client where that doesn't help.
func (s *shard) overflow(i uint32, c *conn, q *queue) {
	bound := s.cfg.Limits.QueueBytes + q.history
	if !q.over(bound) {
		return
	}
	form := c.form()
	n := q.dropOldest(bound/4*enough, func(o *origin) []byte {
		return gapNotice(o.channel, fanout.Gap{Since: o.before, Reason: fanout.GapSlow}).Encoded(form)
	})
	s.stats.drops[DropOldest] += uint64(n)
	if q.over(bound) {
		s.end(i, c, CloseSlow)
	}
}

// just returns the position just before a message.
func just(m *message.Message) message.Position {
	p := m.ID
	if p.Durable() {
		return m.Before()
	}
	p.Seq--
	return p
}

// lossy reports whether the messages of something are to be queued one by one,
// because their channel's policy drops messages. Any other batch stays one item.
// Only what the kernel refuses comes here, so that a batch costs nothing more
// where it is taken.
func (s *shard) lossy(c *conn, o *outgoing) (kind itemKind, yes bool) {
	if o.message == nil || c.phase != phaseOpen {
		return 0, false
	}
	switch s.cfg.rules.of(o.message.Channel).slow() {
	case SlowLatest:
		return itemLatest, true
	case SlowDropOldest:
		return 0, true
	}
	return 0, false
}

// enqueueEach queues the messages of a batch each for itself.
func (s *shard) enqueueEach(i uint32, c *conn, o outgoing, kind itemKind) {
	if o.batch == nil {
		s.enqueueOne(i, c, &o, s.originOf(&o), kind)
		return
	}
	gen, form := c.gen, c.form()
	for _, m := range o.batch {
		one := outgoing{b: m.Encoded(form), sent: o.sent, message: m}
		if o.sent >= len(one.b) {
			o.sent -= len(one.b)
			continue
		}
		o.sent = 0
		s.enqueueOne(i, c, &one, s.originOf(&one), kind)
		if c.gen != gen || c.phase != phaseOpen {
			return
		}
	}
}

// originOf returns where a message comes from, nil for what can't be dropped: a
// notice, and what has begun to be sent.
func (s *shard) originOf(o *outgoing) *origin {
	if o.sent > 0 || o.message.Notice() {
		return nil
	}
	return s.origins.of(o.message)
}
