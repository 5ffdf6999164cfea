package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// busy keeps a shard's loop from everything else, once it has run fn, until the
// function that it returns is called.
func (s *shard) busy(t *testing.T, fn func()) (done func()) {
	begun, hold := make(chan struct{}), make(chan struct{})
	s.post(func() { fn(); close(begun); <-hold })
	<-begun
	done = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(done)
	return done
}

// What the broker has for a loop that doesn't come to take it is bounded. What there
// is no room for is dropped, and the channel's subscribers are told in its place.
func TestMessagesForABusyLoopAreBounded(t *testing.T) {
	const fit, size = 10, 1000
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	s := in.shards[0]
	const room = fit*(size+handoverBytes) + handoverBytes + 100 // for a small one more
	in.onLoop(func(s *shard) bool { s.handover.room = room; return true })
	c, other := in.subscribed("c"), in.subscribed("other")
	done := s.busy(t, func() {})
	payload := func(n int) string { return fmt.Sprintf(`"%03d %s"`, n, strings.Repeat("x", size-6)) }
	for n := range 5 * fit {
		in.redis.Publish("c", payload(n))
	}
	in.redis.Publish("c", `"small"`) // there is room for it, but none for those before it
	in.redis.Publish("c", payload(0))
	in.redis.Publish("other", payload(0))
	dropped := func() (n uint64) {
		s.handover.mu.Lock()
		defer s.handover.mu.Unlock()
		for _, k := range s.handover.drops {
			n += k
		}
		return n
	}
	const lost = 4*fit + 3
	eventually(t, "the others are dropped", func() bool { return dropped() == lost })
	if n := s.handover.bytes.Load(); n > room || n < fit*size {
		t.Errorf("%d bytes wait, there is room for %d", n, room)
	}
	done()
	since := ""
	for n := range fit {
		e := c.expect("message")
		if !strings.HasPrefix(string(e.Data), fmt.Sprintf(`"%03d `, n)) {
			t.Fatalf("got %.20s in place of %d", e.Data, n)
		}
		since = e.ID
	}
	if e := c.expect("gap"); e.Reason != "slow" || e.Since < since {
		t.Errorf("got %+v after %s", e, since)
	}
	if e := other.expect("gap"); e.Reason != "slow" {
		t.Errorf("got %+v", e)
	}
	for channel, c := range map[string]*client{"c": c, "other": other} {
		in.redis.Publish(channel, payload(7))
		if e := c.expect("message"); !strings.HasPrefix(string(e.Data), `"007 `) {
			t.Errorf("got %+v", e)
		}
	}
	if n := in.metric(`gateway_dropped_messages_total{reason="overrun"}`); n != lost {
		t.Errorf("%v are counted as dropped, %d were", n, lost)
	}
	if s.handover.bytes.Load() != 0 || s.handover.dropped.Load() != 0 || dropped() != 0 {
		t.Errorf("%d bytes are left, %d channels", s.handover.bytes.Load(), s.handover.dropped.Load())
	}
}

// A client's message counts for as long as the client isn't told what became of it.
func TestPublishedCountsUntilItsClientIsTold(t *testing.T) {
	in := start(t, func(c *Config) {
		c.Shards = 1
		c.Channels = []ChannelRule{{Match: []string{"c"}, Publish: true, Durable: true}}
	}).ready()
	c := in.subscribed("c")
	s := in.shards[0]
	told := 0
	done := s.busy(t, func() {
		for range 2 {
			i, conn := s.onlyWebSocket()
			pub := publication{Channel: "c", Data: json.RawMessage(`"12345678"`)}
			if err := s.publish(i, conn, &pub, func(string, error) { told++ }); err != nil {
				t.Error(err)
			}
		}
	})
	eventually(t, "Redis has both", func() bool { // so the first is done, whose client can't be told
		n, err := in.redis.Client.XLen(context.Background(), "{push:c}:log").Result()
		return err == nil && n == 2
	})
	const each = int64(len(`"12345678"`) + len("c") + jobBytes)
	if n := in.publisher.waiting.Load(); n != 2*each {
		t.Errorf("%d bytes are counted, want %d", n, 2*each)
	}
	done()
	c.expect("message")
	c.expect("message")
	eventually(t, "both are told", func() bool {
		return in.onLoop(func(*shard) bool { return told == 2 }) && in.publisher.waiting.Load() == 0
	})
}

// onlyWebSocket returns a shard's only WebSocket.
func (s *shard) onlyWebSocket() (slot uint32, only *conn) {
	s.conns.each(func(i uint32, c *conn) {
		if c.kind == kindWebSocket {
			slot, only = i, c
		}
	})
	return slot, only
}
