package client

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/rules"
)

// Overflow keeps a client's queue within its bound by the policies of the channels in it, and closes
// the client if that isn't enough.
func (h *Events) Overflow(i uint32, q *queue.Queue) {
	c := h.hub.at(i)
	if !c.isOpen() || h.hub.protocols[c.kind].Unbounded() {
		return
	}
	n, ok := q.Bound(h.hub.Options.QueueBytes, func(o *queue.Origin) []byte {
		return GapNotice(o.Channel, fanout.Gap{Since: o.Before, Reason: fanout.GapSlow}).Encoded(h.hub.form(c))
	})
	h.hub.Stats.Drops[reasons.DropOldest] += uint64(n)
	if !ok {
		h.hub.End(i, reasons.CloseSlow, "")
	}
}

// Lossy reports whether the messages of o are to be queued one by one, because their channel's
// policy drops messages. Any other batch stays one item.
func (h *Events) Lossy(i uint32, o *conn.Out) (kind queue.Kind, yes bool) {
	if !h.hub.IsOpen(i) {
		return 0, false
	}
	switch h.hub.Options.Rules.Of(o.Message.Channel).Slow {
	case rules.SlowLatest:
		return queue.Latest, true
	case rules.SlowDropOldest:
		return 0, true
	}
	return 0, false
}

// Evict closes a client because the queues or inputs of all take too much memory.
func (h *Events) Evict(i uint32) {
	if h.hub.IsOpen(i) {
		h.hub.End(i, reasons.CloseOverload, "")
		return
	}
	h.hub.Conns.Release(i, reasons.CloseOverload) // a response is all or nothing
}
