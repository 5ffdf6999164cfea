package gateway_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/redistest"
)

// A gateway whose rings are full has the collector run earlier.
func TestRingsCollectEarlier(t *testing.T) {
	a := attack(t, withAdmin)
	a.channels(500)
	percent := func() float64 { return a.figures("go_gc_gogc_percent")[0] }
	if n := percent(); n != 100 {
		t.Errorf("it runs with %v %% at first", n)
	}
	n := 0
	payload := strings.Repeat("x", 60_000)
	eventually(t, "it runs earlier", func() bool {
		n += a.publishTo(500, n, 50, payload)
		return percent() == gateway.KeptPercent
	})
	if held := a.figures("gateway_broker_ring_bytes")[0]; held < 32<<20 {
		t.Errorf("%.0f bytes are in the rings", held)
	}
}

// The cost of earlier collections while the rings are full: two gateways get the same messages at
// the same time, one with the collector's defaults. Each message goes to one client; with many, the
// deliveries dwarf the collector's cost.
func TestCostOfCollectingForRings(t *testing.T) {
	if !*longCollector {
		t.Skip("make bench-collector runs it")
	}
	const channels, rounds, during = 2000, 5, 5 * time.Second
	for _, load := range []struct{ payload, rate int }{{100, 8000}, {1000, 5000}, {10_000, 1500}, {60_000, 200}} {
		redis := redistest.Start(t)
		usual, early := attackOn(t, redis, true, withAdmin), attackOn(t, redis, false, withAdmin)
		usual.channels(channels)
		early.channels(channels)
		n := 0
		payload := strings.Repeat("x", load.payload)
		steadily := func(d time.Duration) (sent int) {
			const slice = 10 * time.Millisecond
			tick := time.NewTicker(slice)
			defer tick.Stop()
			for range d / slice {
				<-tick.C
				sent += early.publishTo(channels, n+sent, load.rate/100, payload)
			}
			n += sent
			return sent
		}
		full := func(a *attacked) bool { return a.figures("gateway_broker_ring_bytes")[0] > 60<<20 }
		for !full(usual) || !full(early) {
			steadily(time.Second)
		}
		var ratios []float64
		for range rounds {
			before, beforeEarly := usual.cpu(), early.cpu()
			sent := steadily(during)
			each, eachEarly := us(usual.cpu()-before)/float64(sent), us(early.cpu()-beforeEarly)/float64(sent)
			ratios = append(ratios, eachEarly/each)
			t.Logf("messages of %d bytes: %.1f us of CPU each, %.1f us where the collector runs earlier", load.payload, each, eachEarly)
		}
		slices.Sort(ratios)
		median := ratios[rounds/2]
		fmt.Printf("messages of %d bytes, one client each: %.2f [%.2f..%.2f] times the CPU, resident %.0f MiB in place of %.0f\n",
			load.payload, median, ratios[0], ratios[rounds-1], float64(early.rss())/(1<<20), float64(usual.rss())/(1<<20))
		if median > 1.4 {
			t.Errorf("a message of %d bytes costs %.2f times the CPU", load.payload, median)
		}
	}
}

func withAdmin(c *gateway.Config) { c.Admin.Listen = "127.0.0.1:0" }

// channels has clients subscribe to n channels from now on.
func (a *attacked) channels(n int) {
	a.t.Helper()
	const each = 50
	for first := 0; first < n; first += each {
		names := ""
		for k := range each {
			names += fmt.Sprintf(",c.%d", first+k)
		}
		c, err := dialer.Dial("tcp", a.addr)
		if err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { c.Close() })
		io.WriteString(c, strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels="+names[1:], 1))
		go io.Copy(io.Discard, c) // until the cleanup
	}
	eventually(a.t, "all are subscribed", func() bool { return a.figures("gateway_subscriptions")[0] == float64(n) })
}

// publishTo publishes n messages to so many channels in turn, from the one whose turn
// it is after sent ones.
func (a *attacked) publishTo(channels, sent, n int, payload string) int {
	a.t.Helper()
	pipe := a.redis.Client.Pipeline()
	for k := range n {
		pipe.Publish(context.Background(), fmt.Sprintf("push:c.%d", (sent+k)%channels), payload)
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		a.t.Fatal(err)
	}
	return n
}
