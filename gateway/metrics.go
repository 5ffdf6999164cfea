package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
)

// descriptions of the gateway's metrics.
var (
	descConnections   = desc("connections", "Sockets of clients, whatever their state.")
	descClients       = desc("clients", "Established clients.", "transport")
	descSubscriptions = desc("subscriptions", "Subscriptions of clients.")
	descChannels      = desc("channels", "Channels with subscribers, summed over the shards.")
	descAccepts       = desc("accepts_total", "Accepted connections.")
	descHandshakes    = desc("handshakes_total", "WebSocket handshakes.", "result")
	descDeliveries    = desc("deliveries_total", "Messages handed to clients.")
	descReceived      = desc("client_received_bytes_total", "Bytes read from clients.")
	descSent          = desc("client_sent_bytes_total", "Bytes written to clients.")
	descBatched       = desc("batched_sends_total", "Sends to clients that entered the kernel together with others, by io_uring.")
	descPings         = desc("pings_total", "Heartbeat pings sent.")
	descQueueBytes    = desc("queue_bytes", "Bytes that wait for clients because the kernel refused them.")
	descQueues        = desc("queues", "Clients with a queue.")
	descCloses        = desc("closes_total", "Ended connections.", "reason")
	descRejects       = desc("rejects_total", "Connections and requests turned away.", "reason")
	descDrops         = desc("dropped_messages_total", "Messages not delivered to a client that did not keep up, or by a gateway that did not.", "reason")
	descTokens        = desc("tokens_refused_total", "Tokens that were refused.", "reason")
	descLag           = desc("loop_lag_seconds", "Time from a post to a shard's loop to its run.")
	descDraining      = desc("draining", "1 while the gateway is shutting down.")
	descMessages      = desc("broker_messages_total", "Messages received from Redis.")
	descDuplicates    = desc("broker_duplicates_total", "Durable messages that came a second time and were dropped.")
	descGaps          = desc("broker_gaps_total", "Channels and replays with possibly lost messages.", "reason")
	descReconnects    = desc("broker_reconnects_total", "Connections to Redis that were made anew.")
	descBrokerUp      = desc("broker_up", "1 when the connection to Redis delivers.", "connection")
	descBrokerTopics  = desc("broker_channels", "Channels subscribed to in Redis.")
	descReplays       = desc("broker_replays_total", "Requests for missed messages that were answered.")
	descReads         = desc("broker_history_reads_total", "Reads of a stream in Redis.")
	descRingBytes     = desc("broker_ring_bytes", "Bytes of recent messages kept for resuming clients.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gateway_"+name, help, labels, nil)
}

// collector reads the counters of the shards and the broker at each scrape.
type collector struct{ srv *Server }

// Describe sends nothing: the collector is unchecked, as some series exist
// only once their reason has occurred.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks each loop for its counters. A loop that doesn't answer within a
// second makes the scrape fail: half of the figures would be worse than none.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	t := newStats()
	for _, sh := range c.srv.shards {
		st, ok := sh.snapshot()
		if !ok {
			out <- prometheus.NewInvalidMetric(descConnections, errLoopStalled)
			return
		}
		t.add(&st)
	}
	gauge(descConnections, float64(t.connections))
	for k, name := range kindNames {
		if name != "" {
			gauge(descClients, float64(t.clients[k]), name)
		}
	}
	gauge(descSubscriptions, float64(t.subscriptions))
	gauge(descChannels, float64(t.channels))
	gauge(descQueueBytes, float64(t.queueBytes))
	gauge(descQueues, float64(t.queues))
	counter(descAccepts, t.accepts)
	counter(descDeliveries, t.deliveries)
	counter(descReceived, t.bytesIn)
	counter(descSent, t.bytesOut)
	counter(descPings, t.pings)
	counter(descBatched, t.batched)
	for result, n := range t.handshakes {
		counter(descHandshakes, n, string(result))
	}
	for reason, n := range t.closes {
		counter(descCloses, n, string(reason))
	}
	for reason, n := range t.rejects {
		counter(descRejects, n, string(reason))
	}
	for reason, n := range t.drops {
		counter(descDrops, n, string(reason))
	}
	for reason, n := range t.tokens {
		counter(descTokens, n, string(reason))
	}
	out <- t.lag.metric()
	draining := 0.0
	if c.srv.draining.Load() {
		draining = 1
	}
	gauge(descDraining, draining)
	c.broker(gauge, counter)
}

func (c collector) broker(gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, uint64, ...string)) {
	b := c.srv.broker.Stats()
	counter(descMessages, b.Messages)
	counter(descDuplicates, b.Duplicates)
	counter(descGaps, b.BrokerGaps, "broker")
	counter(descGaps, b.HistoryGaps, "history")
	counter(descReconnects, b.Reconnects)
	counter(descReplays, b.Replays)
	counter(descReads, b.HistoryReads)
	gauge(descBrokerTopics, float64(b.Channels))
	gauge(descRingBytes, float64(b.RingBytes))
	for _, l := range b.Links {
		up := 0.0
		if l.Up {
			up = 1
		}
		gauge(descBrokerUp, up, l.Label)
	}
}

// metric returns the histogram in Prometheus' form: cumulative, in seconds.
func (l *lag) metric() prometheus.Metric {
	buckets := make(map[float64]uint64, len(lagBounds))
	sum := uint64(0)
	for i, bound := range lagBounds {
		sum += l.buckets[i]
		buckets[bound.Seconds()] = sum
	}
	return prometheus.MustNewConstHistogram(descLag, l.count, l.sum.Seconds(), buckets)
}

// add adds the figures of another shard.
func (st *stats) add(o *stats) {
	st.accepts += o.accepts
	st.deliveries += o.deliveries
	st.bytesIn += o.bytesIn
	st.bytesOut += o.bytesOut
	st.pings += o.pings
	st.batched += o.batched
	for k, n := range o.clients {
		st.clients[k] += n
	}
	st.queueBytes += o.queueBytes
	st.subscriptions += o.subscriptions
	st.connections += o.connections
	st.queues += o.queues
	st.channels += o.channels
	for k, n := range o.handshakes {
		st.handshakes[k] += n
	}
	for k, n := range o.closes {
		st.closes[k] += n
	}
	for k, n := range o.rejects {
		st.rejects[k] += n
	}
	for k, n := range o.tokens {
		st.tokens[k] += n
	}
	for k, n := range o.drops {
		st.drops[k] += n
	}
	for i, n := range o.lag.buckets {
		st.lag.buckets[i] += n
	}
	st.lag.count += o.lag.count
	st.lag.sum += o.lag.sum
}
