package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// Clients that send requests and never read fill all queues up to limits.total_queue_bytes, again
// and again. The process grows by at most 1.5 times that.
func TestAttackQueuesResident(t *testing.T) {
	const clients, total, during = 400, 64 << 20, 4 * time.Second
	a := attack(t, func(c *gateway.Config) {
		withoutRates(c) // by default the attackers are closed for their pings
		c.Admin.Listen = "127.0.0.1:0"
		c.Limits.QueueBytes, c.Limits.TotalQueueBytes = 1<<20, total
	})
	pings := bytes.Repeat(append([]byte{0x89, 0x80 + 20, 0, 0, 0, 0}, make([]byte, 20)...), 1000)
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var attackers sync.WaitGroup
	before := a.rss()
	for range clients {
		attackers.Go(func() {
			for ctx.Err() == nil {
				c, err := smallDialer.DialContext(ctx, "tcp", a.addr)
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, upgradeHead)
				pingOn(ctx, c, pings)
			}
		})
	}
	queued, resident, full := 0.0, 0, false
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-look.C:
		}
		now := a.figures("gateway_queue_bytes", `gateway_closes_total{reason="overload"}`)
		queued = max(queued, now[0])
		if now[1] > 0 && !full {
			full = true // from here on it's at the bound
			time.AfterFunc(during, stop)
		}
		resident = max(resident, a.rss())
	}
	attackers.Wait()
	ended := a.figures(`gateway_closes_total{reason="slow"}`, `gateway_closes_total{reason="overload"}`)
	grown := resident - before
	t.Logf("%d clients that ping and never read: at most %.1f MiB counted of %d MiB allowed, %.1f MiB resident on top of %.1f: %.2f times what is allowed",
		clients, queued/(1<<20), total>>20, float64(grown)/(1<<20), float64(before)/(1<<20), float64(grown)/total)
	t.Logf("%.0f were closed for their own queue, %.0f for all", ended[0], ended[1])
	if queued > total || ended[1] == 0 {
		t.Errorf("%.0f bytes were queued, %d are allowed; %.0f were closed for it", queued, total, ended[1])
	}
	if grown > total*3/2 {
		t.Errorf("the memory has grown by %d bytes, %d may be queued", grown, total)
	}
}

// pingOn writes to a connection until it breaks or the context ends.
func pingOn(ctx context.Context, c net.Conn, b []byte) {
	defer c.Close()
	for ctx.Err() == nil {
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := c.Write(b); err != nil && n == 0 {
			if e, ok := err.(net.Error); !ok || !e.Timeout() {
				return
			}
		}
	}
}
