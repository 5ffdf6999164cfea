package attacks

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// holdWaiters has requests wait for a Redis that doesn't answer.
func holdWaiters(t *testing.T) (rows []row) {
	t.Run("waiters", func(t *testing.T) {
		redis := redistest.Start(t)
		proxy := stall(t, redis.Addr)
		g := startGateway(t, redis, "redis://"+proxy.addr, calm...)
		n := 4000
		channels := names("w", 0, 100)
		open(t, g.Public, 1, func(i int) []byte { return []byte(upgrade("/v1/ws?channels=" + channels)) })
		eventually(t, "the channels are there", func() bool { return g.Metric("gateway_broker_channels") >= 100 })
		proxy.history.Store(true)
		before := g.resident()
		var ask bytes.Buffer
		for k := range 100 {
			ask.Write(text(fmt.Sprintf(`{"type":"subscribe","channel":"w.0.%d","since":"1700000000000-0","ref":"%s"}`, k, strings.Repeat("r", 60))))
		}
		const steps = 20
		for step := range steps {
			open(t, g.Public, n/steps, func(i int) []byte { return append([]byte(upgrade("/v1/ws")), ask.Bytes()...) })
			eventually(t, "all wait", func() bool {
				return g.Metric("gateway_subscriptions") == float64(100*n*(step+1)/steps+100)
			})
		}
		rows = append(rows, row{
			what: "requests to catch up that wait for Redis, with their subscriptions", client: "one for each of `limits.channels_per_connection`, 100", all: "`limits.total_subscriptions`, 4,000,000",
			reached: fmt.Sprintf("%d requests of %d clients", 100*n, n), memory: g.memory() - before, things: 100 * n, each: 700,
		})
	})
	return rows
}

// holdCursors has polls wait for Redis with positions in far more channels than
// they ask for, and WebSockets that give such a cursor for each of their channels.
func holdCursors(t *testing.T) (rows []row) {
	var c message.Cursor
	for k := range 2500 {
		c.Set(fmt.Sprintf("other.%d", k), message.Position{Ms: 1_700_000_000_000, Seq: uint64(k)})
	}
	c.Set("cursor", message.Position{Ms: 1_700_000_000_000})
	cursor := c.String()
	var ask bytes.Buffer
	for k := range 100 {
		ask.Write(text(fmt.Sprintf(`{"type":"subscribe","channel":"cursor.%d","since":"%s"}`, k, cursor)))
	}
	body := fmt.Sprintf(`{"channels":["cursor"],"cursor":%q}`, cursor)
	for _, kind := range []struct {
		name    string
		clients int
		say     string
		things  int // of a client
		each    int
	}{
		{"polls", 16_000, post("/v1/poll", len(body)) + body, 1, 5000},
		{"WebSockets", 160, upgrade("/v1/ws") + ask.String(), 100, 1500},
	} {
		t.Run("cursors/"+kind.name, func(t *testing.T) {
			redis := redistest.Start(t)
			proxy := stall(t, redis.Addr)
			g := startGateway(t, redis, "redis://"+proxy.addr, calm...)
			n := kind.clients
			proxy.history.Store(true)
			before := g.resident()
			// In steps, as the input of all at once exceeds limits.total_input_bytes.
			const steps = 10
			for step := range steps {
				open(t, g.Public, n/steps, func(i int) []byte { return []byte(kind.say) })
				eventually(t, "all wait", func() bool {
					return g.Metric("gateway_subscriptions") == float64(kind.things*n*(step+1)/steps)
				})
			}
			rows = append(rows, row{
				what: kind.name + " that wait for Redis with a cursor of 2,501 channels", client: "as large as the cursor of its channels", all: "`limits.total_subscriptions`, 4,000,000",
				reached: fmt.Sprintf("%d cursors of %d bytes", kind.things*n, len(cursor)), memory: g.memory() - before, things: kind.things * n, each: kind.each,
			})
		})
	}
	return rows
}

// holdPublications has clients publish while Redis takes nothing.
func holdPublications(t *testing.T) (rows []row) {
	const total = 64 << 20
	t.Run("publications", func(t *testing.T) {
		redis := redistest.Start(t)
		proxy := stall(t, redis.Addr)
		g := startGateway(t, redis, "redis://"+proxy.addr, append(calm,
			`--channels=[{"match":["pub.*"],"publish":true}]`)...)
		proxy.publish.Store(true)
		before := g.resident()
		n := 400
		open(t, g.Public, n, func(i int) []byte {
			one := text(fmt.Sprintf(`{"type":"publish","channel":"pub.%d","data":"%s"}`, i, strings.Repeat("x", 60_000)))
			return append([]byte(upgrade("/v1/ws")), bytes.Repeat(one, 10)...)
		})
		eventually(t, "all are taken or refused", func() bool {
			return g.Metric("gateway_client_received_bytes_total") > float64(n)*10*60_000
		})
		rows = append(rows, row{
			what: "messages that wait to be published", client: "`limits.publishes_per_second`", all: "`limits.total_input_bytes`, 64 MiB",
			reached: fmt.Sprintf("%d messages of 60 kB", 10*n), memory: g.memory() - before, bound: total,
		})
	})
	return rows
}
