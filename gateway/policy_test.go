package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// stalled publishes to a client that doesn't read until its queue has overflown
// or been replaced in, and returns how many messages it took.
func (in *instance) stalled(channel string, size int) (sent int) {
	in.t.Helper()
	payload := strings.Repeat("x", size)
	dropped := func() uint64 {
		t := in.totals()
		return t.drops[reasons.DropOldest] + t.drops[reasons.DropLatest]
	}
	for end := time.Now().Add(patience); dropped() < 20; sent++ {
		if time.Now().After(end) {
			in.t.Fatalf("nothing was dropped of %d messages", sent)
		}
		in.redis.Publish(channel, fmt.Sprintf(`{"n":%d,"x":%q}`, sent, payload))
	}
	return sent
}

func number(t testing.TB, e event) int {
	t.Helper()
	var v struct{ N int }
	if err := json.Unmarshal(e.Data, &v); err != nil {
		t.Fatal(err)
	}
	return v.N
}

func TestSlowDropOldest(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Limits.QueueBytes = 64 << 10
		c.Channels = []gateway.ChannelRule{{Match: []string{"lossy"}, Slow: gateway.SlowDropOldest}}
	}).ready()
	c := in.lazy("lossy")
	sent := in.stalled("lossy", 4<<10)
	in.redis.Publish("lossy", fmt.Sprintf(`{"n":%d}`, sent))
	gaps, next, lost := 0, 0, 0
	for next <= sent {
		switch e := c.next(); e.Type {
		case "gap":
			if e.Reason != "slow" || e.Channel != "lossy" {
				t.Fatalf("got %+v", e)
			}
			gaps++
			lost = -1
		case "message":
			n := number(t, e)
			if n != next && lost != -1 {
				t.Fatalf("%d came in place of %d without a gap before it", n, next)
			}
			lost = 0
			next = n + 1
		default:
			t.Fatalf("got %+v", e)
		}
	}
	if gaps == 0 {
		t.Error("no gap was told")
	}
}

func TestSlowLatest(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"price"}, Slow: gateway.SlowLatest}}
	}).ready()
	c := in.lazy("price")
	sent := in.stalled("price", 4<<10)
	in.redis.Publish("price", fmt.Sprintf(`{"n":%d}`, sent))
	eventually(t, "the last one came in", func() bool { return in.metric("gateway_broker_messages_total") == float64(sent+1) })
	last, skipped := -1, 0
	for last < sent {
		e := c.expect("message")
		n := number(t, e)
		if n <= last {
			t.Fatalf("%d came after %d", n, last)
		}
		skipped += n - last - 1
		last = n
	}
	if skipped < 20 {
		t.Errorf("%d messages were skipped", skipped)
	}
}

// Messages that arrive faster than they can be delivered one by one go out in batches. The policies
// apply to each message of a batch, so no number of them closes such a client.
func TestSlowBatches(t *testing.T) {
	const size, burst = 1000, 3000
	for policy, most := range map[gateway.SlowPolicy]int{
		gateway.SlowLatest:     3 * size, // one under way, one that waits
		gateway.SlowDropOldest: 32<<10 + 3*size,
	} {
		if *gateway.TLSOfTests {
			most += tlsrecord.MaxRecord // a record that is begun can't be dropped
		}
		t.Run(string(policy), func(t *testing.T) {
			in := start(t, func(c *gateway.Config) {
				c.Limits.QueueBytes = 32 << 10
				c.Channels = []gateway.ChannelRule{{Match: []string{"burst"}, Slow: policy}}
			}).ready()
			for _, path := range []string{"/v1/ws?channels=burst", "/v1/ws?channels=burst&format=raw"} {
				in.dialLazy(path)
			}
			c := in.lazy("burst")
			eventually(t, "all have the channel", func() bool { return in.totals().subscriptions == 3 })
			payload := strings.Repeat("x", size)
			for sent := 0; sent < burst; {
				_, err := in.redis.Client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
					for range 500 {
						pipe.Publish(t.Context(), "push:burst", fmt.Sprintf(`{"n":%d,"x":%q}`, sent, payload))
						sent++
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are delivered or dropped", func() bool {
				st := in.totals()
				return st.deliveries == 3*burst
			})
			if st := in.totals(); st.connections != 3 || st.queueBytes > int64(3*most) || st.closes[reasons.CloseSlow] > 0 {
				t.Errorf("%d connections have %d bytes queued; closed: %v", st.connections, st.queueBytes, st.closes)
			}
			for last := -1; last < burst-1; {
				e := c.next()
				if e.Type == "gap" {
					continue
				}
				n := number(t, e)
				if n <= last {
					t.Fatalf("%d came after %d", n, last)
				}
				last = n
			}
		})
	}
}

// The sum of all queues is bounded too: the largest ones go.
func TestQueueTotal(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Shards = 1
		c.Limits.QueueBytes = 16 << 20
		c.Limits.TotalQueueBytes = 1 << 20
	}).ready()
	heavy := in.lazy("heavy")
	light := in.lazy("light")
	payload := strings.Repeat("x", 32<<10)
	for range 8 {
		in.redis.Publish("light", `"`+payload+`"`)
	}
	for end := time.Now().Add(patience); in.totals().closes[reasons.CloseOverload] == 0; {
		if time.Now().After(end) {
			t.Fatal("nobody was ended")
		}
		in.redis.Publish("heavy", `"`+payload+`"`)
	}
	if code := heavy.closed(); code != 1013 {
		t.Errorf("closed with %d", code)
	}
	for range 8 {
		light.expect("message")
	}
}
