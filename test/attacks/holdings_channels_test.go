package attacks

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/internal/redistest"
)

// holdRings fills the rings with recent messages of many channels.
func holdRings(t *testing.T) (rows []row) {
	const total = 64 << 20
	for name, m := range inOrder(map[string]struct{ clients, payload, each int }{
		"one byte, a message a channel": {1400, 1, 1},
		"1,000 bytes":                   {50, 1000, 128},
		"60 KB":                         {5, 60_000, 4},
	}) {
		t.Run("rings/"+name, func(t *testing.T) {
			redis := redistest.Start(t)
			g := startGateway(t, redis, redis.URL(), calm...)
			n := max(1, m.clients)
			open(t, g.Public, n, func(i int) []byte { return []byte(upgrade("/v1/ws?channels=" + names("r", i, 100))) })
			open(t, g.Public, n, func(i int) []byte { return []byte(get("/v1/sse?channels=" + names("r", i, 100))) })
			eventually(t, "all are subscribed", func() bool { return g.Metric("gateway_broker_channels") >= float64(100*n) })
			before := g.resident()
			payload := strings.Repeat("x", m.payload)
			sent := 0
			for range m.each {
				pipe := redis.Client.Pipeline()
				for i := range n {
					for k := range 100 {
						pipe.Publish(context.Background(), fmt.Sprintf("push:r.%d.%d", i, k), payload)
					}
					if pipe.Len() < 5000 && pipe.Len()*m.payload < 4<<20 && i < n-1 {
						continue
					}
					sent += pipe.Len()
					if _, err := pipe.Exec(context.Background()); err != nil {
						t.Fatal(err)
					}
					// Redis ends a subscriber with more than 32 MiB waiting.
					eventually(t, "these have come", func() bool { return g.Metric("gateway_broker_messages_total") >= float64(sent) })
				}
			}
			eventually(t, "all have come", func() bool { return g.Metric("gateway_broker_messages_total") == float64(100*n*m.each) })
			// Messages queued for the clients, which read nothing, count as theirs. The
			// collector may have had as much room to itself before as small messages need.
			grown := max(0, g.memory()-before-int(g.Metric("gateway_queue_bytes")))
			rows = append(rows, row{
				what: "recent messages of channels: " + name, client: "backends decide", all: "`redis.ring.total_bytes`, 64 MiB",
				reached: fmt.Sprintf("%d channels, %s counted", 100*n, mib(int(g.Metric("gateway_broker_ring_bytes")))), memory: grown, bound: total,
			})
		})
	}
	return rows
}

// holdMessages has messages arrive for channels whose streams can't be read yet.
func holdMessages(t *testing.T) (rows []row) {
	const total = 64 << 20
	for name, m := range inOrder(map[string]struct{ channels, payload int }{"one byte": {100, 1}, "1,000 bytes": {100, 1000}}) {
		t.Run("held/"+name, func(t *testing.T) {
			redis := redistest.Start(t)
			proxy := stall(t, redis.Addr)
			g := startGateway(t, redis, "redis://"+proxy.addr, calm...)
			before := g.resident()
			proxy.history.Store(true)
			open(t, g.Public, 1, func(i int) []byte { return []byte(upgrade("/v1/ws?channels=" + names("h", i, m.channels))) })
			eventually(t, "Redis has all channels", func() bool {
				return redis.Client.PubSubNumSub(context.Background(), "push:h.0.99").Val()["push:h.0.99"] == 1
			})
			payload := strings.Repeat("x", m.payload)
			each := total / 100 / (m.payload + 64)
			for k := range m.channels {
				g.publish(fmt.Sprintf("h.0.%d", k), payload, each)
			}
			eventually(t, "all have come", func() bool {
				return g.Metric("gateway_broker_messages_total") >= 0 && redis.Stat("total_net_output_bytes") > 0
			})
			rows = append(rows, row{
				what: "messages of channels that are being subscribed: " + name, client: "backends decide", all: "64 MiB",
				reached: fmt.Sprintf("%d messages", each*m.channels), memory: g.memory() - before, bound: total,
			})
		})
	}
	return rows
}

// holdLingering has clients take and leave channels, none of them twice.
func holdLingering(t *testing.T) (rows []row) {
	const most = 100_000
	t.Run("lingering", func(t *testing.T) {
		redis := redistest.Start(t)
		g := startGateway(t, redis, redis.URL(), append(calm, fmt.Sprintf("--redis.max_lingering=%d", most))...)
		before := g.resident()
		came := 0
		for came < 2*most {
			conns := open(t, g.Public, 50, func(i int) []byte { return []byte(upgrade("/v1/ws?channels=" + names("l", came+i, 100))) })
			eventually(t, "all are subscribed", func() bool { return g.Metric("gateway_subscriptions") == 5000 })
			closeAll(conns)
			eventually(t, "all have left", func() bool { return g.Metric("gateway_subscriptions") == 0 })
			came += 5000
		}
		kept := int(g.Metric("gateway_broker_lingering_channels"))
		if kept > most || kept < most/2 {
			t.Errorf("%d channels linger of %d that may", kept, most)
		}
		rows = append(rows, row{
			what: "channels that nobody has any more", client: "`limits.new_channels_per_second`", all: "`redis.max_lingering`, 100,000",
			reached: fmt.Sprintf("%d channels came and went", came), memory: g.memory() - before, things: kept, each: 1000,
		})
	})
	return rows
}

// holdSubscriptions has clients subscribe to as much as they may.
func holdSubscriptions(t *testing.T) (rows []row) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("subscriptions/own=%v", own), func(t *testing.T) {
			redis := redistest.Start(t)
			g := startGateway(t, redis, redis.URL(), calm...)
			n := 4000
			channels := func(i int) string { return names("s", 0, 100) }
			r := row{what: "subscriptions, to the same channels", client: "`limits.channels_per_connection`, 100", all: "`limits.total_subscriptions`, 4,000,000"}
			if own {
				channels = func(i int) string { return names("s", i, 100) }
				r.what, r.all = "subscriptions, each to another channel", "`limits.total_channels`, 2,000,000"
			}
			before := g.resident()
			// In steps, or it's the collector's room for the rush that is measured.
			const steps = 20
			for step := range steps {
				open(t, g.Public, n/steps, func(i int) []byte { return []byte(upgrade("/v1/ws?channels=" + channels(i+step*n/steps))) })
				here := float64(100 * n * (step + 1) / steps)
				eventually(t, "all are subscribed", func() bool {
					return g.Metric("gateway_subscriptions") == here && (!own || g.Metric("gateway_broker_channels") >= here)
				})
			}
			r.reached, r.memory = fmt.Sprintf("%d subscriptions of %d clients", 100*n, n), g.memory()-before
			r.things, r.each = 100*n, 700
			rows = append(rows, r)
		})
	}
	return rows
}

// holdConnections has clients that are merely there.
func holdConnections(t *testing.T) (rows []row) {
	for name, say := range inOrder(map[string]string{
		"WebSockets that said nothing":   upgrade("/v1/ws?channels=c"),
		"WebSockets that talked (rates)": upgrade("/v1/ws?channels=c") + string(text(`{"type":"ping"}`)),
		"event streams":                  get("/v1/sse?channels=c"),
		"waiting polls":                  get("/v1/poll?wait=30&channels=c"),
	}) {
		t.Run("connections/"+name, func(t *testing.T) {
			redis := redistest.Start(t)
			g := startGateway(t, redis, redis.URL(), calm...)
			n := 16_000
			before := g.resident()
			open(t, g.Public, n, func(i int) []byte { return []byte(say) })
			eventually(t, "all are there", func() bool { return g.Metric("gateway_subscriptions") == float64(n) })
			rows = append(rows, row{
				what: "connections: " + name, client: "`limits.connections_per_address`", all: "`limits.connections`",
				reached: fmt.Sprintf("%d clients", n), memory: g.resident() - before, things: n, each: 2500,
			})
		})
	}
	return rows
}
