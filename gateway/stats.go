package gateway

import (
	"maps"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/histogram"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// stats are copies of the counters that the layers of a shard keep, or their sums over all shards.
type stats struct {
	conns   conn.Stats
	rejects map[reasons.Reject]uint64
	clients client.Stats
	lag     histogram.Histogram

	queueBytes                    int64
	connections, queues, channels int
	shaking, waiting              int // TLS handshakes
}

// newStats returns counters with a zero for each reason: a rate over a series that starts with its
// first incident would miss it.
func newStats() stats {
	return stats{
		conns: conn.Stats{
			Closes:      zeros(reasons.Closes...),
			Handshakes:  zeros(conn.Handshakes...),
			TLSFailures: zeros(reasons.TLSFailures...),
		},
		rejects: zeros(reasons.Rejects...),
		clients: client.Stats{
			Handshakes: zeros(reasons.HandshakeOK, reasons.HandshakeFailed),
			Tokens:     zeros(auth.Reasons()...),
			Drops:      zeros(reasons.Drops...),
			Published:  zeros(reasons.PublishOK, reasons.PublishFailed),
		},
	}
}

func zeros[K comparable](keys ...K) map[K]uint64 {
	m := make(map[K]uint64, len(keys))
	for _, k := range keys {
		m[k] = 0
	}
	return m
}

// addAll adds the counters of o to those of m.
func addAll[K comparable](m, o map[K]uint64) {
	for k, n := range o {
		m[k] += n
	}
}

// add adds the figures of another shard.
func (st *stats) add(o *stats) {
	st.conns.Add(&o.conns)
	addAll(st.rejects, o.rejects)
	st.rejects[reasons.RejectDescriptors] += o.conns.Exhausted
	c, p := &st.clients, &o.clients
	addAll(c.Handshakes, p.Handshakes)
	addAll(c.Tokens, p.Tokens)
	addAll(c.Drops, p.Drops)
	c.Drops[reasons.DropLatest] += o.conns.Latest
	addAll(c.Published, p.Published)
	c.Deliveries += p.Deliveries
	c.Pings += p.Pings
	c.Subscriptions += p.Subscriptions
	if c.Clients == nil {
		c.Clients = make([]int, len(p.Clients))
	}
	for k, n := range p.Clients {
		c.Clients[k] += n
	}
	c.Delivery.Add(&p.Delivery)
	st.lag.Add(&o.lag)
	st.queueBytes += o.queueBytes
	st.connections += o.connections
	st.queues += o.queues
	st.channels += o.channels
	st.shaking += o.shaking
	st.waiting += o.waiting
}

// snapshot returns a copy of the counters; ok is false if the loop didn't respond in time.
func (s *shard) snapshot() (st stats, ok bool) {
	copied := make(chan stats, 1) // sent to once by the loop
	s.post(func() {
		c := stats{
			conns: s.conns.Stats().Clone(), rejects: maps.Clone(s.http.Refuse.Counts()), clients: s.hub.Stats.Clone(), lag: s.lag,
			connections: s.conns.Slots.Len() - s.conns.Acceptor.RejectedTLS(), channels: s.hub.Channels.Index.Channels(),
		}
		c.queues, c.queueBytes = s.conns.Out.Used()
		c.shaking, c.waiting = s.conns.Admission.Handshakes()
		copied <- c
	})
	select {
	case st = <-copied:
		return st, true
	case <-time.After(time.Second):
		return stats{}, false
	}
}
