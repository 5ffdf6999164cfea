package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// The total queue bound holds for the sum of many shards, even if one holds most and gets no
// further output.
func TestQueueTotalOfManyShards(t *testing.T) {
	const shards, clients, bound = 4, 40, 4 << 20
	in := start(t, func(c *gateway.Config) {
		c.Shards = shards
		c.Limits.QueueBytes, c.Limits.TotalQueueBytes = bound, bound
	}).ready()
	for i := range clients {
		in.dialLazy(fmt.Sprintf("/v1/ws?channels=c.%d", i))
	}
	eventually(t, "all have their channels", func() bool { return in.totals().subscriptions == clients })
	var of [shards][]string // channels by the shard of their client
	for n := range of {
		if of[n] = in.ChannelsOf(n); len(of[n]) == 0 {
			t.Skip("the kernel gave all clients to other shards")
		}
	}
	payload := strings.Repeat("x", 3000)
	publish := func(channels []string) {
		for _, channel := range channels {
			in.redis.Publish(channel, payload)
		}
	}
	waits := func() int64 { return in.totals().queueBytes }
	for end := time.Now().Add(patience); waits() < bound/4*3; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes wait in a shard", waits())
		}
		publish(of[0])
	}
	ended := func() uint64 { return in.totals().closes[reasons.CloseOverload] }
	before := ended()
	for n := 0; ended() < before+5 && n < 3000; n++ {
		publish(of[1+n%(shards-1)])
		if n := waits(); n > bound {
			t.Fatalf("%d bytes wait, %d are allowed", n, bound)
		}
	}
	if ended() < before+5 {
		t.Errorf("nobody was ended, %d bytes wait", waits())
	}
}
