package gateway_test

import (
	"fmt"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/admin"
)

// BenchmarkOperator looks through a million connections and through a million
// channels.
func BenchmarkOperator(b *testing.B) {
	const million = 1_000_000
	in := start(b, func(c *gateway.Config) { c.Shards = 2 })
	in.Populate(million/2, func(shard, i int) string { return fmt.Sprintf("user.%d.%d", shard, i) })
	b.Cleanup(in.Depopulate)
	b.Run("connections", func(b *testing.B) {
		for b.Loop() {
			var page struct{ Connections []admin.Connection }
			if status := in.call("GET", "/v1/connections?transport=poll", "", &page); status != 200 || len(page.Connections) != 0 {
				b.Fatal(status, len(page.Connections))
			}
		}
	})
	b.Run("channels", func(b *testing.B) {
		for b.Loop() {
			var page channelList
			if status := in.call("GET", "/v1/channels?sort=subscribers", "", &page); status != 200 || page.Total != million {
				b.Fatal(status, page.Total)
			}
		}
	})
}
