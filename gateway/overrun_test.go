package gateway_test

import (
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// A client that subscribes while a channel's messages are being dropped gets a gap, as earlier
// subscribers did.
func TestBeginsDuringAnOverrun(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	old := in.subscribed("c")
	last := durable(t, in.redis, "c", 0, 1)[0]
	old.expect("message")

	in.SetOverrun(0)
	in.redis.Publish("c", "1")
	if e := old.expect("gap"); e.Reason != "slow" {
		t.Errorf("got %+v", e)
	}
	young := in.subscribed("c")
	back := in.dial("/v1/ws")
	back.expect("welcome")
	back.write(`{"type":"subscribe","channel":"c","since":"` + last + `"}`)
	back.expect("subscribed")
	if e := back.expect("message"); string(e.Data) != "1" {
		t.Errorf("got %+v", e)
	}
	events := in.events("/v1/sse?channels=c", "")
	events.expect("subscribed")
	in.redis.Publish("c", "2")
	eventually(t, "it is dropped", func() bool { return in.metric(`gateway_dropped_messages_total{reason="overrun"}`) == 2 })
	in.SetOverrun(gateway.MaxPending)

	in.redis.Publish("c", "3")
	for _, c := range []*client{young, back} {
		if e := c.expect("gap"); e.Reason != "slow" || e.Since == "" {
			t.Errorf("got %+v", e)
		}
		if e := c.expect("message"); string(e.Data) != "3" {
			t.Errorf("got %+v", e)
		}
	}
	if _, e := events.expect("gap"); e.Reason != "slow" {
		t.Errorf("got %+v", e)
	}
	if _, e := events.expect("message"); string(e.Data) != "3" {
		t.Errorf("got %+v", e)
	}
	if e := old.expect("message"); string(e.Data) != "3" {
		t.Errorf("got %+v", e)
	}
}

// A client that subscribes after an overrun has missed nothing.
func TestBeginsAfterAnOverrun(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	old := in.subscribed("c")
	in.SetOverrun(0)
	in.redis.Publish("c", "1")
	old.expect("gap")
	in.SetOverrun(gateway.MaxPending)
	young := in.subscribed("c")
	in.redis.Publish("c", "2")
	if e := young.expect("message"); string(e.Data) != "2" {
		t.Errorf("got %+v", e)
	}
}
