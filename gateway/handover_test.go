package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// Messages for a busy loop are bounded. Those over the bound are dropped, with a gap notice in
// their place.
func TestMessagesForABusyLoopAreBounded(t *testing.T) {
	const fit, size = 10, 1000
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	const room = fit*(size+gateway.HandoverBytes) + gateway.HandoverBytes + 100 // for a small one more
	in.SetHandover(room)
	c, other := in.subscribed("c"), in.subscribed("other")
	release := in.hold()
	payload := func(n int) string { return fmt.Sprintf(`"%03d %s"`, n, strings.Repeat("x", size-6)) }
	for n := range 5 * fit {
		in.redis.Publish("c", payload(n))
	}
	in.redis.Publish("c", `"small"`) // there is room for it, but not for its predecessors
	in.redis.Publish("c", payload(0))
	in.redis.Publish("other", payload(0))
	const lost = 4*fit + 3
	eventually(t, "the others are dropped", func() bool { _, dropped := in.Handover(); return dropped == lost })
	if n, _ := in.Handover(); n > room || n < fit*size {
		t.Errorf("%d bytes wait, there is room for %d", n, room)
	}
	release()
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
	if bytes, dropped := in.Handover(); bytes != 0 || dropped != 0 {
		t.Errorf("%d bytes are left, %d messages", bytes, dropped)
	}
}

// A client's publish counts until its result is sent.
func TestPublishedCountsUntilItsClientIsTold(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Shards = 1
		c.Channels = []gateway.ChannelRule{{Match: []string{"c"}, Publish: true, Durable: true}}
	}).ready()
	c := in.subscribed("c")
	in.redis.Do("CLIENT", "PAUSE", "60000", "WRITE")
	for range 2 {
		c.write(`{"type":"publish","channel":"c","data":"12345678"}`)
	}
	const both = 2 * int64(len(`"12345678"`)+len("c")+gateway.JobBytes)
	eventually(t, "both are counted", func() bool { return in.PublishesWaiting() == both })
	release := in.hold()
	in.redis.Do("CLIENT", "UNPAUSE")
	eventually(t, "Redis has both", func() bool { // so the first has its result, which can't be sent yet
		n, err := in.redis.Client.XLen(context.Background(), "{push:c}:log").Result()
		return err == nil && n == 2
	})
	if n := in.PublishesWaiting(); n != both {
		t.Errorf("%d bytes are counted, want %d", n, both)
	}
	release()
	told := map[string]int{}
	for range 4 {
		told[c.next().Type]++
	}
	if told["published"] != 2 || told["message"] != 2 {
		t.Errorf("got %v", told)
	}
	eventually(t, "nothing is counted", func() bool { return in.PublishesWaiting() == 0 })
}
