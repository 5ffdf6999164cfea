package gateway

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// stuck adds clients of a shard that never read and whose buffers are full.
func (s *still) stuck(n int, path string) (all []*peer) {
	s.t.Helper()
	for range n {
		p := s.connect()
		p.send([]byte(strings.Replace(upgradeHead, "/v1/ws", path, 1)))
		p.receive()
		if !s.hub.IsOpen(p.slot) {
			s.t.Fatalf("the client of %s is closed", path)
		}
		all = append(all, p)
	}
	return all
}

// mixes are outputs to clients that don't read, to each alone or to all; n grows.
var mixes = map[string]struct {
	path string
	send func(s *still, p *peer, n int)
}{
	"one byte, raw":     {"/v1/ws?format=raw", own("c", 1)},
	"200 bytes":         {"/v1/ws", own("c", 200)},
	"300 bytes, raw":    {"/v1/ws?format=raw", own("c", 300)},
	"4 KiB":             {"/v1/ws", own("c", 4<<10)},
	"64 KiB":            {"/v1/ws", own("c", 64<<10)},
	"one byte, oldest":  {"/v1/ws?format=raw", own("old.c", 1)},
	"200 bytes, oldest": {"/v1/ws", own("old.c", 200)},
	"4 KiB, oldest":     {"/v1/ws", own("old.c", 4<<10)},
	"one byte, latest of many": {"/v1/ws?format=raw", func(s *still, p *peer, n int) {
		own(fmt.Sprintf("new.%d", n%300), 1)(s, p, n)
	}},
	"one byte, by turns": {"/v1/ws?format=raw", func(s *still, p *peer, n int) {
		own([]string{"c", "old.c"}[n%2], 1)(s, p, n)
	}},
	"events": {"/v1/sse?channels=c", own("c", 100)},
	"pongs": {"/v1/ws", func(s *still, p *peer, n int) {
		s.conns.Out.SendCopy(p.slot, []byte{0x8a, 0})
	}},
	"replies": {"/v1/ws", func(s *still, p *peer, n int) {
		s.hub.Conns.Out.SendCopy(p.slot, wsframe.AppendFrame(nil, ws.OpText, []byte(`{"type":"pong"}`)))
	}},
	"gaps": {"/v1/ws", func(s *still, p *peer, n int) {
		b := client.GapNotice("some.channel", fanout.Gap{Reason: fanout.GapSlow}).Encoded(message.FormText)
		s.conns.Out.SendBytes(p.slot, b)
	}},
	"the end of batches": {"/v1/ws?format=raw", func(s *still, p *peer, n int) {
		b := make([]byte, 2<<10)
		s.conns.Out.Queue(p.slot).Add(b[len(b)-10:], cap(b), nil, 0)
	}},
}

// own returns a way to send messages of a size that no other client gets.
func own(channel string, size int) func(s *still, p *peer, n int) {
	return func(s *still, p *peer, n int) {
		m := message.New(channel, message.Position{Node: "still", Seq: uint64(n + 1)}, uint32(n+1), []byte(strings.Repeat("x", size)))
		s.conns.Out.Send(p.slot, conn.Out{Bytes: m.Encoded(s.hub.FormOf(p.slot)), Message: m})
	}
}

// Pending output takes at most 1.5 times the memory that is counted for it, whatever its kind.
func TestQueuesTakeWhatIsCounted(t *testing.T) {
	const clients, each = 40, 100 << 10
	for name, mix := range mixes {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, func(c *Config) {
				c.Limits.QueueBytes, c.Limits.TotalQueueBytes = 1<<20, 1<<30
				c.Channels = []ChannelRule{{Match: []string{"old.*"}, Slow: SlowDropOldest}, {Match: []string{"new.*"}, Slow: SlowLatest}}
			})
			all := s.stuck(clients, mix.path)
			filler := make([]byte, 64<<10)
			for _, p := range all {
				for !s.conns.Out.Queued(p.slot) {
					s.conns.Out.SendBytes(p.slot, filler)
				}
				q := s.conns.Out.Queue(p.slot)
				q.SentFront(len(q.Front())) // the rest of a record, over TLS
			}
			filler = nil
			before, n := gatewaytest.HeapInUse(), 0
			for _, p := range all {
				q := s.conns.Out.Queue(p.slot)
				for most := n + 30_000; q.Held < each && n < most; n++ {
					mix.send(s, p, n)
				}
			}
			held, counted := gatewaytest.HeapInUse()-before, s.queueBytes()
			t.Logf("%d KiB held, %d KiB counted", held>>10, counted>>10)
			if held > counted*3/2 || held < counted/4 {
				t.Errorf("%d KiB are held, %d KiB are counted", held>>10, counted>>10)
			}
			for _, p := range all { // as if it had read all but the last item, and a byte before it
				q := s.conns.Out.Queue(p.slot)
				q.Sent(q.Bytes / 2)
				q.Sent(q.Bytes - 1)
			}
			// The memory counted is the memory freed.
			before, counted = gatewaytest.HeapInUse(), s.queueBytes()
			for _, p := range all {
				s.conns.Out.Queue(p.slot).Reset()
			}
			held = before - gatewaytest.HeapInUse()
			t.Logf("at the end: %d KiB held, %d KiB counted", held>>10, counted>>10)
			if held > counted*3/2 {
				t.Errorf("at the end %d KiB are held, %d KiB are counted", held>>10, counted>>10)
			}
			if s.queueBytes() != 0 || s.srv.net.Queued.Bytes.Load() != 0 {
				t.Errorf("%d bytes are counted of nothing", s.queueBytes())
			}
			runtime.KeepAlive(all)
		})
	}
}

// A message costs the same whatever waits already and whatever its channel's
// policy is.
func TestPoliciesTakeTheirTime(t *testing.T) {
	const few, many, most = 1000, 60_000, 8
	for name, tc := range map[string]struct {
		before, then string // channels of the waiting and of the new messages
		bound        func(q *queue.Queue) int
	}{
		"latest behind others":            {"c", "new.c", nil},
		"latest behind those of its kind": {"new.%d", "new.c", nil},
		"oldest":                          {"old.c", "old.c", (*queue.Queue).Waiting},
		"oldest behind what may not go":   {"c", "old.c", func(q *queue.Queue) int { return q.Waiting() + 1<<10 }},
		"latest and oldest":               {"old.c", "new.c", (*queue.Queue).Waiting},
		"disconnect, at the bound of all": {"c", "c", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(items int) time.Duration {
				s := newStill(t, func(c *Config) {
					c.Limits.QueueBytes, c.Limits.TotalQueueBytes = 1<<30, 1<<40
					c.Channels = []ChannelRule{{Match: []string{"old.*"}, Slow: SlowDropOldest}, {Match: []string{"new.*"}, Slow: SlowLatest}}
				})
				p := s.stuck(1, "/v1/ws?format=raw")[0]
				for !s.conns.Out.Queued(p.slot) {
					s.conns.Out.SendBytes(p.slot, make([]byte, 64<<10))
				}
				q := s.conns.Out.Queue(p.slot)
				n := 0
				for ; n < items; n++ {
					channel := tc.before
					if strings.Contains(channel, "%") {
						channel = fmt.Sprintf(channel, n)
					}
					own(channel, queue.SmallBytes)(s, p, n) // too large to be copied
				}
				if tc.bound != nil {
					s.configure(func(set *settings) { set.Limits.QueueBytes = tc.bound(q) })
				}
				best := time.Hour
				for range 5 {
					best = min(best, gatewaytest.CPUTime(func() {
						for end := n + 1000; n < end; n++ {
							own(tc.then, queue.SmallBytes)(s, p, n)
						}
					}))
				}
				if !s.hub.IsOpen(p.slot) {
					t.Fatal("the client was ended")
				}
				return best / 1000
			}
			// Other load on the machine can spoil one comparison, not each.
			for range 5 {
				a, b := cost(few), cost(many)
				t.Logf("%v a message behind %d, %v behind %d", a, few, b, many)
				if b <= most*a {
					return
				}
			}
			t.Errorf("a message behind %d costs more than %d times one behind %d", many, most, few)
		})
	}
}
