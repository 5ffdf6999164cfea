package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/redistest"
)

// Replayed messages are encoded and sent in slices, between which the loop handles other events.
// Clients get all of them once and in order, and then the messages published meanwhile, even if
// these are more than the node keeps.
func TestCatchUpsLeaveTheLoopAlone(t *testing.T) {
	for name, ring := range map[string]int{"kept": fanout.DefaultConfig().Ring.Messages, "more than is kept": 5} {
		t.Run(name, func(t *testing.T) {
			const past, size, later = 60, 60_000, 40 // within the burst of the catch-up rate
			redis := redistest.Start(t)
			in := startWith(t, redis, func(c *gateway.Config) { c.Shards = 1 }, func(c *fanout.Config) { c.Ring.Messages = ring }).ready()
			publish := func(n, size int) {
				redis.PublishDurable("big", fmt.Sprintf(`"%d %s"`, n, strings.Repeat("x", size)))
			}
			for n := range past {
				publish(n, size)
			}
			// How often is there a moment for others when the clients have got some of it?
			slices, stop := make(chan int, 1), make(chan struct{})
			seen, sent := 0, uint64(0)
			in.EachTurn(func(l gateway.Loop) bool {
				if n := l.Counted().Deliveries; n != sent {
					seen, sent = seen+1, n
				}
				select {
				case <-stop:
					slices <- seen
					return false
				default:
					return true
				}
			})

			ws := in.dial("/v1/ws?channels=big&since=0-0")
			ws.expect("welcome")
			several := in.events("/v1/sse?channels=other,big&since=0-0", "")
			next := map[string]func() string{
				"websocket": func() string { return string(ws.expect("message").Data) },
				"several channels": func() string {
					for {
						if e := several.next(); e.name == "message" {
							var v event
							if err := json.Unmarshal([]byte(e.data), &v); err != nil {
								t.Fatal(err)
							}
							return string(v.Data)
						}
					}
				},
			}
			ws.expect("subscribed")
			go func() { // while they are sent the past
				for n := range later {
					publish(past+n, 10)
				}
			}()
			for name, next := range next {
				for n := range past + later {
					if got := next(); !strings.HasPrefix(got, fmt.Sprintf(`"%d `, n)) {
						t.Fatalf("%s: got %.20s in place of %d", name, got, n)
					}
				}
			}
			close(stop)
			if n := <-slices; n < 10 {
				t.Errorf("there was time for others between %d slices", n)
			}
			eventually(t, "nothing is left of it", func() bool {
				k := in.Kept()
				return k.CatchUps == 0 && k.Joins == 0
			})
		})
	}
}

// A poll gets as much as the loop encodes in a slice of its time, and the rest in the
// next ones.
func TestPollsLeaveTheLoopAlone(t *testing.T) {
	redis := redistest.Start(t)
	in := startOn(t, redis, func(c *gateway.Config) { c.Shards = 1 }).ready()
	const past, size = 40, 60_000
	for n := range past {
		entry(t, redis, "big", fmt.Sprintf("%d-0", n+1), fmt.Sprintf(`"%d %s"`, n, strings.Repeat("x", size)))
	}
	cursor, next := "0-0", 0
	for next < past {
		p := in.poll(nil, "channels=big&max=1000&wait=0&cursor="+cursor)
		got := 0
		for _, data := range p.data(t) {
			if !strings.HasPrefix(data, fmt.Sprintf(`"%d `, next)) {
				t.Fatalf("got %.20s in place of %d", data, next)
			}
			got += len(data)
			next++
		}
		if got == 0 || got > gateway.ResponseBytes+size || len(p.Gaps) > 0 || p.More != (next < past) {
			t.Fatalf("%d messages, %d bytes in the last answer, more: %v, gaps %v", next, got, p.More, p.Gaps)
		}
		cursor = p.Cursor
	}
}
