package gateway

import (
	"context"
	"fmt"
	"testing"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/admin"
)

// BenchmarkOperator looks through a million connections and through a million
// channels.
func BenchmarkOperator(b *testing.B) {
	const million = 1_000_000
	in := start(b, func(c *Config) { c.Shards = 2 })
	for k, sh := range in.shards {
		_, err := ask(context.Background(), sh, func() bool {
			for i := range million / 2 {
				_, c := sh.conns.take()
				c.fd, c.phase, c.kind = -1, phaseOpen, kindWebSocket
				ch := sh.index.Open(fmt.Appendf(nil, "user.%d.%d", k, i))
				sh.index.Subscribe(&c.subs, uint32(i+1), ch)
			}
			return true
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		for _, sh := range in.shards {
			ask(context.Background(), sh, func() bool { sh.conns, sh.index = slab{}, index.New(); return true })
		}
	})
	o := operator{in.Server}
	ctx := context.Background()
	b.Run("connections", func(b *testing.B) {
		for b.Loop() {
			page, err := o.Connections(ctx, admin.ConnectionFilter{Transport: "poll"}, "", 100)
			if err != nil || len(page.Connections) != 0 {
				b.Fatal(len(page.Connections), err)
			}
		}
	})
	b.Run("channels", func(b *testing.B) {
		for b.Loop() {
			page, err := o.Channels(ctx, admin.ChannelQuery{BySubscribers: true, Limit: 100})
			if err != nil || page.Total != million {
				b.Fatal(page.Total, err)
			}
		}
	})
}
