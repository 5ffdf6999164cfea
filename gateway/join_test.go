package gateway_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/redistest"
)

// While Redis is down, clients that connect and disconnect leave nothing behind, nor does one that
// subscribes again and again.
func TestWaitingForRedis(t *testing.T) {
	redis := redistest.New(t)
	in := startOn(t, redis, func(c *gateway.Config) { c.Shards = 1 })
	stay := in.dial("/v1/ws?channels=c")
	stay.expect("welcome")
	for range 3 {
		stay.write(`{"type":"subscribe","channel":"c","ref":1}`)
		if e := stay.expect("error"); e.Code != "pending" {
			t.Errorf("got %+v", e)
		}
	}
	for range 300 {
		c := in.dial("/v1/ws?channels=c")
		c.expect("welcome")
		c.Close()
	}
	eventually(t, "they are gone", func() bool { return in.totals().connections == 1 })
	if n := in.Kept().Waiting; n > 100 {
		t.Errorf("%d requests are kept for one client", n)
	}
	redis.Start()
	stay.expect("subscribed")
	in.redis.Publish("c", "1")
	stay.expect("message")
}

func TestChannelGivenTwice(t *testing.T) {
	in := start(t, nil).ready()
	c := in.dial("/v1/ws?channels=a,b,a")
	c.expect("welcome")
	c.expect("subscribed")
	c.expect("subscribed")
	c.write(`{"type":"ping"}`)
	c.expect("pong")
	if p := in.poll(nil, "channels="+strings.Repeat("a,", 50)+"b&wait=0"); p.status != 204 {
		t.Errorf("got %+v", p)
	}
}

// When Redis is back, many clients may wait for one channel. They are confirmed in slices, between
// which the loop handles other events, and none misses a message published meanwhile.
func TestManyWaitersAreToldInSlices(t *testing.T) {
	redis := redistest.New(t)
	in := startOn(t, redis, func(c *gateway.Config) { c.Shards = 1 })
	const clients = 1500
	var all []*stream
	for range clients {
		all = append(all, in.events("/v1/sse?channels=c", ""))
	}
	eventually(t, "all wait", func() bool { return in.Kept().Waiting == clients })

	// Is there a turn of the loop between the first confirmation and the last?
	between, seen := make(chan int, 1), 0
	in.EachTurn(func(l gateway.Loop) bool {
		k := l.Kept()
		if k.Waiting > 0 && k.Waiting < clients {
			seen++
		}
		if k.Waiting == 0 {
			between <- seen
		}
		return k.Waiting > 0
	})
	redis.Start()
	var ids []string
	for len(between) == 0 {
		ids = append(ids, durable(t, redis, "c", len(ids), len(ids)+1)...)
	}
	ids = append(ids, durable(t, redis, "c", len(ids), len(ids)+1)...)
	if n := <-between; n == 0 {
		t.Error("all were told in one go")
	}
	for _, c := range all {
		_, begun := c.expect("subscribed")
		// A client that subscribed to an empty stream gets all of it.
		for _, id := range ids[slices.Index(ids, begun.ID)+1:] {
			if _, m := c.expect("message"); m.ID != id {
				t.Fatalf("from %s on, got %+v in place of %s", begun.ID, m, id)
			}
		}
	}
}
