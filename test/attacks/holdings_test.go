package attacks

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// ratio is how much more memory than its bound a thing may take, in all.
const ratio = 1.5

// calm keeps connections that answer no pings until they are measured.
var calm = []string{"--heartbeat.interval=10m", "--limits.head_timeout=5m"}

// Whatever clients make the gateway hold has a bound, and at the bound it takes
// the memory that the bound says: with the mixes that take the most.
func TestAttackHoldings(t *testing.T) {
	if !*long {
		t.Skip("measures the memory of a whole process, which takes sizes that are far above what the collector leaves: make attacks")
	}
	var rows []row
	for _, hold := range []func(*testing.T) []row{
		holdQueues, holdInputs, holdRecords, holdRings, holdMessages, holdLingering, holdWaiters, holdCursors, holdPublications, holdSubscriptions, holdConnections,
	} {
		rows = append(rows, hold(t)...)
	}
	for _, r := range rows {
		most := int(ratio * float64(r.bound))
		if r.things > 0 {
			most = r.things * r.each
		}
		if r.memory > most {
			t.Errorf("%s: %s are resident, at most %s may be", r.what, mib(r.memory), mib(most))
		}
	}
	report(t, "holdings", table(rows))
}

// fill repeats step until full returns true, and returns the growth of the gateway's memory.
func (g *gateway) fill(before int, what string, full func() bool, step func()) (grown int) {
	g.t.Helper()
	for end := time.Now().Add(3 * patience); !full(); step() {
		if time.Now().After(end) {
			g.t.Errorf("%s is never reached", what)
			break
		}
	}
	return g.memory() - before
}

// publish publishes the same payload n times, in few round trips.
func (g *gateway) publish(channel, payload string, n int) {
	g.t.Helper()
	for n > 0 {
		pipe := g.Redis.Client.Pipeline()
		for range min(n, 1000) {
			pipe.Publish(context.Background(), "push:"+channel, payload)
		}
		if _, err := pipe.Exec(context.Background()); err != nil {
			g.t.Fatal(err)
		}
		n -= 1000
	}
}

// queueMix is a way to fill the queues of clients that don't read.
type queueMix struct {
	path    string // of a WebSocket or an event stream
	payload int
	each    int // messages in a step
}

// holdQueues fills the queues of clients that never read, with several sizes and
// forms of messages in turn.
func holdQueues(t *testing.T) (rows []row) {
	const total = 256 << 20
	for name, m := range inOrder(map[string]queueMix{
		"one byte, bare":     {"/v1/ws?format=raw&channels=q", 1, 2000},
		"200 bytes":          {"/v1/ws?channels=q.%d", 200, 20},
		"300 bytes, events":  {"/v1/sse?channels=q.%d", 300, 20},
		"4,000 bytes":        {"/v1/ws?channels=q.%d", 4000, 1},
		"60 KB, own channel": {"/v1/ws?channels=q.%d", 60_000, 1},
	}) {
		t.Run("queues/"+name, func(t *testing.T) {
			redis := redistest.Start(t)
			g := startGateway(t, redis, redis.URL(), calm...)
			n := 2400
			own := strings.Contains(m.path, "%d")
			open(t, g.Public, n, func(i int) []byte {
				path := m.path
				if own {
					path = fmt.Sprintf(path, i)
				}
				if strings.Contains(path, "/ws") {
					return []byte(upgrade(path))
				}
				return []byte(get(path))
			})
			eventually(t, "all are subscribed", func() bool { return g.Metric("gateway_subscriptions") == float64(n) })
			before := g.resident()
			payload := strings.Repeat("x", m.payload)
			full := func() bool { return g.Metric("gateway_queue_bytes") > 0.75*float64(total) }
			grown := g.fill(before, "the bound of the queues", full, func() {
				if !own {
					g.publish("q", payload, m.each)
					return
				}
				for i := range n {
					g.publish(fmt.Sprintf("q.%d", i), payload, m.each)
				}
			})
			grown -= int(g.Metric("gateway_broker_ring_bytes")) // which has a bound of its own
			counted := g.Metric("gateway_queue_bytes")
			rows = append(rows, row{
				what: "queues of clients that don't read: " + name, client: "`limits.queue_bytes`, 256 KiB", all: "`limits.total_queue_bytes`, 256 MiB",
				reached: fmt.Sprintf("%d clients, %s counted", n, mib(int(counted))), memory: grown, bound: total,
			})
		})
	}
	return rows
}

// holdInputs has requests and messages that are never ended.
func holdInputs(t *testing.T) (rows []row) {
	const total = 64 << 20
	for name, in := range inOrder(map[string]struct {
		clients int
		say     string
	}{
		"heads":            {6000, "GET /v1/ws HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 15_000)},
		"bodies":           {1500, post("/v1/poll", 60_000) + strings.Repeat("a", 59_000)},
		"partial messages": {1500, upgrade("/v1/ws") + string(append([]byte{0x01, 0x80 | 126, 0xea, 0x60, 0, 0, 0, 0}, strings.Repeat("a", 59_000)...))},
		"bytes":            {12_000, "G"},
	}) {
		t.Run("inputs/"+name, func(t *testing.T) {
			redis := redistest.Start(t)
			g := startGateway(t, redis, redis.URL(), calm...)
			before := g.resident()
			n := in.clients
			first := n / 4
			openAll := func(n int) { openAny(t, g.Public, n, []byte(in.say)) }
			openAll(first)
			opened := first
			grown := g.fill(before, "the bound of the inputs",
				func() bool { return opened >= n },
				func() { openAll(n / 4); opened += n / 4 })
			eventually(t, "all that came is read", func() bool {
				at := g.Metric("gateway_input_bytes")
				time.Sleep(200 * time.Millisecond)
				return g.Metric("gateway_input_bytes") == at
			})
			grown = max(grown, g.memory()-before)
			counted := g.Metric("gateway_input_bytes")
			if counted > float64(total) {
				t.Errorf("%.0f bytes of inputs are counted", counted)
			}
			rows = append(rows, row{
				what: "unfinished requests and messages: " + name, client: "`limits.head_bytes`, `limits.message_bytes`", all: "`limits.total_input_bytes`, 64 MiB",
				reached: fmt.Sprintf("%d clients, %s counted", n, mib(int(counted))), memory: grown, bound: total,
			})
		})
	}
	return rows
}

// openAny is open for clients some of which are refused while they speak.
func openAny(t testing.TB, addr string, n int, say []byte) {
	t.Helper()
	conns := make([]net.Conn, n)
	t.Cleanup(func() { closeAll(conns) })
	for i := range conns {
		c, err := small.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		c.SetWriteDeadline(time.Now().Add(patience))
		_, _ = c.Write(say)
	}
}
