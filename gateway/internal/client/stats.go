package client

import (
	"maps"
	"slices"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/histogram"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Stats count what happens to a loop's clients.
type Stats struct {
	Handshakes map[reasons.Handshake]uint64
	Deliveries uint64 // messages handed to the kernel or to a queue
	Pings      uint64
	Tokens     map[auth.Reason]uint64 // refused
	Drops      map[reasons.Drop]uint64
	Published  map[reasons.Publish]uint64
	Delivery   histogram.Histogram // of a message, from Redis to the last of the loop's subscribers

	// Gauges
	Clients       []int // by kind
	Subscriptions int
}

func newStats() Stats {
	return Stats{
		Handshakes: make(map[reasons.Handshake]uint64), Tokens: make(map[auth.Reason]uint64),
		Drops: make(map[reasons.Drop]uint64), Published: make(map[reasons.Publish]uint64),
		Clients: make([]int, 1),
	}
}

// Clone returns a copy.
func (t *Stats) Clone() Stats {
	c := *t
	c.Handshakes, c.Tokens = maps.Clone(t.Handshakes), maps.Clone(t.Tokens)
	c.Drops, c.Published, c.Clients = maps.Clone(t.Drops), maps.Clone(t.Published), slices.Clone(t.Clients)
	return c
}

// delivered records the delivery times of messages that have been sent to all subscribers.
func (h *Hub) delivered(messages []*message.Message) {
	for _, m := range messages {
		if age := h.Shared.Broker.Age(m); age > 0 {
			h.Stats.Delivery.Observe(age)
		}
	}
}
