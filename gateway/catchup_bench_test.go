package gateway_test

import (
	"context"
	"os"
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
	script, err := os.ReadFile("../configs/publish.lua")
	if err != nil {
		b.Fatal(err)
	}
	payload := `"` + strings.Repeat("x", 60_000) + `"`
	for range past {
		if err := redis.Client.Eval(context.Background(), string(script), []string{"{push:big}:log"}, "push:big", payload, 0, 3600).Err(); err != nil {
			b.Fatal(err)
		}
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
