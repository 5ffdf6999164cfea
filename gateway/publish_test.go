package gateway_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// The id of a published message is there even where it is empty.
func TestPublishedHasAnID(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"open"}, Publish: true}}
	}).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	c.write(`{"type":"publish","channel":"open","data":1,"ref":4}`)
	if _, text, err := c.ReadMessage(); err != nil || string(text) != `{"type":"published","channel":"open","id":"","ref":4}` {
		t.Errorf("got %s, %v", text, err)
	}
}

// A client's publish is confirmed though the client is being rebalanced.
func TestPublishWhileSentAway(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Shards = 1
		c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}}
	}).ready()
	in.redis.Do("CLIENT", "PAUSE", "1000", "ALL")
	c := in.raw(post("/v1/publish", `{"channel":"a","data":1}`))
	eventually(t, "it waits for Redis", func() bool {
		return in.Kept().Publishing == 1
	})
	in.Rebalance(1, 0)
	if status, body := answerOf(t, c); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// All publishers get a result in time while Redis stalls, even those queued behind others.
func TestPublishBehindOthersWhileRedisStalls(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}}
	}).ready()
	in.redis.Do("CLIENT", "PAUSE", "60000", "ALL")
	begin := time.Now()
	var clients []net.Conn
	for range 4 {
		clients = append(clients, in.raw(post("/v1/publish", `{"channel":"a","data":1}`)))
	}
	for _, c := range clients {
		if status, body := answerOf(t, c); status != 503 || !strings.Contains(body, "broker_unavailable") {
			t.Errorf("%d %s", status, body)
		}
		c.Close()
	}
	if took := time.Since(begin); took > gateway.PublishTimeout+3*time.Second {
		t.Errorf("the last one was answered after %v", took)
	}
}
