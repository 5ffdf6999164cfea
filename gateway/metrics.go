package gateway

import (
	"crypto/tls"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushgate/pushgate/gateway/internal/histogram"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Descriptions of the gateway's metrics.
var (
	descConnections      = desc("connections", "Sockets of clients, whatever their state.")
	descClients          = desc("clients", "Established clients.", "transport")
	descSubscriptions    = desc("subscriptions", "Subscriptions of clients.")
	descChannels         = desc("channels", "Channels with subscribers, summed over the shards.")
	descAccepts          = desc("accepts_total", "Accepted connections.")
	descHandshakes       = desc("handshakes_total", "WebSocket handshakes.", "result")
	descDeliveries       = desc("deliveries_total", "Messages handed to clients.")
	descReceived         = desc("client_received_bytes_total", "Bytes read from clients.")
	descSent             = desc("client_sent_bytes_total", "Bytes written to clients.")
	descTLSHandshakes    = desc("tls_handshakes_total", "Completed TLS handshakes.", "version", "resumed")
	descTLSFailures      = desc("tls_failures_total", "Connections that failed in their TLS layer.", "reason")
	descTLSInFlight      = desc("tls_handshakes_in_progress", "TLS handshakes that clients have begun and not completed.", "state")
	descTLSNotBefore     = desc("tls_certificate_not_before_timestamp_seconds", "When the certificate begins to be valid, in seconds since 1970.", "name", "key")
	descTLSNotAfter      = desc("tls_certificate_not_after_timestamp_seconds", "When the certificate expires, in seconds since 1970.", "name", "key")
	descTLSFilesOK       = desc("tls_files_usable", "1 while the TLS files are in use as they are; 0 when they have changed and can't be used.")
	descBatched          = desc("batched_sends_total", "Sends to clients that entered the kernel together with others, by io_uring.")
	descPings            = desc("pings_total", "Heartbeat pings sent.")
	descQueueBytes       = desc("queue_bytes", "Memory of what waits for clients because the kernel refused it; a large message counts once for all of them.")
	descInputBytes       = desc("input_bytes", "Memory of what clients sent that is no whole request or message yet, or waits for its turn.")
	descQueues           = desc("queues", "Clients with a queue.")
	descCloses           = desc("closes_total", "Ended connections.", "reason")
	descRejects          = desc("rejects_total", "Connections and requests rejected.", "reason")
	descDrops            = desc("dropped_messages_total", "Messages not delivered to a client that did not keep up, or by a gateway that did not.", "reason")
	descTokens           = desc("tokens_refused_total", "Tokens that were refused.", "reason")
	descPublished        = desc("client_publishes_total", "Messages of clients that were passed on to Redis.", "result")
	descLag              = desc("loop_lag_seconds", "Time from a post to a shard's loop to its run.")
	descDelivery         = desc("delivery_seconds", "Time of a message from its arrival from Redis to the write to the last of a shard's subscribers.")
	descDraining         = desc("draining", "1 while the gateway is shutting down.")
	descFleetNodes       = desc("fleet_nodes", "Gateways on the same Redis, this one included; 0 while they are not known.")
	descFleetConnections = desc("fleet_connections", "Sockets of clients of all gateways on the same Redis.")
	descMessages         = desc("broker_messages_total", "Messages received from Redis.")
	descDuplicates       = desc("broker_duplicates_total", "Durable messages that came a second time and were dropped.")
	descGaps             = desc("broker_gaps_total", "Channels and replays with possibly lost messages.", "reason")
	descReconnects       = desc("broker_reconnects_total", "Connections to Redis that were made anew.")
	descBrokerFailures   = desc("broker_failures_total", "Messages that were published here and that Redis did not take.", "reason")
	descBrokerUp         = desc("broker_up", "1 when the connection to Redis delivers.", "connection")
	descBrokerTopics     = desc("broker_channels", "Channels subscribed to in Redis.")
	descReplays          = desc("broker_replays_total", "Requests for missed messages that were answered.")
	descReads            = desc("broker_history_reads_total", "Reads of a stream in Redis.")
	descLingering        = desc("broker_lingering_channels", "Channels subscribed to in Redis that no client has any more.")
	descRingBytes        = desc("broker_ring_bytes", "Bytes of recent messages kept for resuming clients.")
	descRoundTrip        = desc("broker_round_trip_seconds", "Time of a probe to Redis and back.")
	descBuild            = desc("build_info", "1, with what this program was built from.", "version", "commit", "go")
	descReloadOK         = desc("config_last_reload_successful", "1 when the last reload was taken over, or none was tried; 0 when it was refused.")
	descLogLost          = desc("log_lines_lost_total", "Log lines that standard error did not take.")
	descReloadTime       = desc("config_last_reload_success_timestamp_seconds", "When the present configuration was read, in seconds since 1970.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gateway_"+name, help, labels, nil)
}

// collector reads the counters of the shards and the broker at each scrape.
type collector struct{ srv *Server }

// Describe sends nothing: the collector is unchecked, as the labels of links to Redis are known
// only at a scrape.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect gets each loop's counters. A loop that doesn't respond within a second fails the scrape:
// partial figures would be worse than none.
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
	for k, name := range c.srv.shards[0].hub.Protocols() {
		if k > 0 { // 0: not a client
			gauge(descClients, float64(t.clients.Clients[k]), name)
		}
	}
	gauge(descSubscriptions, float64(t.clients.Subscriptions))
	gauge(descChannels, float64(t.channels))
	gauge(descQueueBytes, float64(c.srv.net.Queued.Bytes.Load()))
	gauge(descInputBytes, float64(c.srv.net.Inputs.Load()))
	gauge(descQueues, float64(t.queues))
	counter(descAccepts, t.conns.Accepts)
	counter(descDeliveries, t.clients.Deliveries)
	counter(descReceived, t.conns.BytesIn)
	counter(descSent, t.conns.BytesOut)
	counter(descPings, t.clients.Pings)
	counter(descBatched, t.conns.Batched)
	for result, n := range t.clients.Handshakes {
		counter(descHandshakes, n, string(result))
	}
	for reason, n := range t.conns.Closes {
		counter(descCloses, n, string(reason))
	}
	if set := c.srv.certs.Load(); set != nil {
		for kind, n := range t.conns.Handshakes {
			counter(descTLSHandshakes, n, strings.TrimPrefix(tls.VersionName(kind.Version), "TLS "), strconv.FormatBool(kind.Resumed))
		}
		for reason, n := range t.conns.TLSFailures {
			counter(descTLSFailures, n, string(reason))
		}
		gauge(descTLSInFlight, float64(t.shaking), "running")
		gauge(descTLSInFlight, float64(t.waiting), "waiting")
		for label, c := range firstToExpire(set.Certificates()) {
			gauge(descTLSNotBefore, float64(c.NotBefore.Unix()), label[:]...)
			gauge(descTLSNotAfter, float64(c.NotAfter.Unix()), label[:]...)
		}
		gauge(descTLSFilesOK, oneUnless(c.srv.certsFailed.Load()))
	}
	for reason, n := range t.rejects {
		counter(descRejects, n, string(reason))
	}
	for reason, n := range t.clients.Drops {
		counter(descDrops, n, string(reason))
	}
	for reason, n := range t.clients.Tokens {
		counter(descTokens, n, string(reason))
	}
	for result, n := range t.clients.Published {
		counter(descPublished, n, string(result))
	}
	out <- metric(descLag, &t.lag)
	out <- metric(descDelivery, &t.clients.Delivery)
	draining := 0.0
	if c.srv.requests.Draining.Load() {
		draining = 1
	}
	gauge(descDraining, draining)
	fleet, sum := c.srv.fleet.known(), int64(0)
	for _, n := range fleet {
		sum += n.Connections
	}
	gauge(descFleetNodes, float64(len(fleet)))
	gauge(descFleetConnections, float64(sum))
	build := ReadBuild()
	gauge(descBuild, 1, build.Version, build.Commit, build.Go)
	gauge(descReloadOK, oneUnless(c.srv.reloadFailed.Load()))
	gauge(descReloadTime, float64(c.srv.configured.Load()))
	lostLines := uint64(0)
	if c.srv.lostLines != nil {
		lostLines = c.srv.lostLines()
	}
	counter(descLogLost, lostLines)
	trips := c.srv.roundTrips.Copy()
	out <- metric(descRoundTrip, &trips)
	c.broker(gauge, counter)
}

func (c collector) broker(gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, uint64, ...string)) {
	b := c.srv.broker.Stats()
	counter(descMessages, b.Messages)
	counter(descDuplicates, b.Duplicates)
	counter(descGaps, b.BrokerGaps, "broker")
	counter(descGaps, b.HistoryGaps, "history")
	counter(descDrops, b.TooLarge, string(reasons.DropTooLarge))
	counter(descReconnects, b.Reconnects)
	for kind, n := range b.Failures {
		counter(descBrokerFailures, n, string(kind))
	}
	counter(descReplays, b.Replays)
	counter(descReads, b.HistoryReads)
	gauge(descBrokerTopics, float64(b.Channels))
	gauge(descLingering, float64(b.Lingering))
	gauge(descRingBytes, float64(b.RingBytes))
	for _, l := range b.Links {
		up := 0.0
		if l.Up {
			up = 1
		}
		gauge(descBrokerUp, up, l.Label)
	}
}

// metric returns a histogram in Prometheus's form: cumulative, in seconds.
func metric(d *prometheus.Desc, h *histogram.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64, len(histogram.Bounds))
	sum := uint64(0)
	for i, bound := range histogram.Bounds {
		sum += h.Buckets[i]
		buckets[bound.Seconds()] = sum
	}
	return prometheus.MustNewConstHistogram(d, h.Count, h.Sum.Seconds(), buckets)
}

func oneUnless(failed bool) float64 {
	if failed {
		return 0
	}
	return 1
}
