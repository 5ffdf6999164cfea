package gateway_test

import (
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/redistest"
)

// BenchmarkCatchUp has a client catch up with 200 messages of 60 KB, and measures the longest time
// that the loop was busy.
func BenchmarkCatchUp(b *testing.B) {
	const past = 200
	redis := redistest.Start(b)
	in := startOn(b, redis, func(c *gateway.Config) { c.Shards = 1 }).ready()
	payload := `"` + strings.Repeat("x", 60_000) + `"`
	for range past {
		redis.PublishDurable("big", payload)
	}
	stop := in.longestTurn()
	for b.Loop() {
		c := in.dial("/v1/ws?channels=big&since=0-0")
		c.expect("welcome")
		c.expect("subscribed")
		for range past {
			c.expect("message")
		}
		c.Close()
	}
	b.ReportMetric(float64(stop().Microseconds()), "us-longest")
}
