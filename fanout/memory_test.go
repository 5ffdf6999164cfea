package fanout

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// counter is a member that only counts.
type counter struct {
	joined, messages, gaps atomic.Int64
}

func (c *counter) Joined(string, Joined)    { c.joined.Add(1) }
func (c *counter) Deliver(*message.Message) { c.messages.Add(1) }
func (c *counter) Gap(string, Gap)          { c.gaps.Add(1) }

// The cost of a channel of its own for each connection, with go-redis' map of names and after
// the connection has been lost and made again.
func TestMemoryPerChannel(t *testing.T) {
	const want = 250
	n := 100_000
	if testing.Short() {
		n = 20_000
	}
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	waitReady(t, b)
	m := &counter{}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user.%07d", i)
	}
	before := gatewaytest.HeapInUse()
	start := time.Now()
	for _, name := range names {
		join(b, name, m)
	}
	eventually(t, "all are joined", func() bool { return m.joined.Load() == int64(n) })
	joined := time.Since(start)
	report := func(when string) {
		each := float64(gatewaytest.HeapInUse()-before) / float64(n)
		t.Logf("%s: %.0f bytes a channel", when, each)
		if each > want {
			t.Errorf("%s: %.0f bytes a channel, want at most %d", when, each, want)
		}
	}
	report("joined")
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	start = time.Now()
	eventually(t, "all are told of the outage", func() bool { return m.gaps.Load() == int64(n) && b.Ready() == nil })
	t.Logf("%d channels joined in %v and again in %v after a lost connection", n, joined, time.Since(start))
	report("joined again")
}

func BenchmarkMessage(b *testing.B) {
	_, l := offline(b, DefaultConfig())
	l.openLive("news")
	m := &counter{}
	l.join("news", l.b.sinks.bit(m))
	payload := string(make([]byte, 128))
	b.ReportAllocs()
	for b.Loop() {
		l.message("push:news", payload)
	}
}
