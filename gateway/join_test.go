package gateway

import (
	"strings"
	"testing"

	"pushgate/internal/redistest"
)

// While Redis is away, clients that come and go must leave nothing behind, and
// one that asks again and again must not either.
func TestWaitingForRedis(t *testing.T) {
	redis := redistest.New(t)
	in := startOn(t, redis, func(c *Config) { c.Shards = 1 })
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
	eventually(t, "they are gone", func() bool { return in.connections.Load() == 1 })
	waiting := make(chan int, 1)
	in.shards[0].post(func() {
		for _, j := range in.shards[0].joins {
			waiting <- len(j.waiting)
		}
	})
	if n := <-waiting; n > 100 {
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
