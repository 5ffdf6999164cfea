package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// largeSizes are sizes of messages that no kernel takes at once.
var largeSizes = []int{400_000, 1_000_000, 5_000_000}

// publishLarge publishes messages of all sizes at once, so that the next one arrives while the
// previous one is being sent.
func (in *instance) publishLarge(channel string, sizes ...int) {
	in.t.Helper()
	_, err := in.redis.Client.Pipelined(in.t.Context(), func(pipe redis.Pipeliner) error {
		for i, n := range sizes {
			pipe.Publish(in.t.Context(), "push:"+channel, fmt.Sprintf("%d %s", i, strings.Repeat("x", n)))
		}
		return nil
	})
	if err != nil {
		in.t.Fatal(err)
	}
}

// isLarge reports whether data is message i of publishLarge.
func isLarge(data string, i, size int) bool {
	return len(data) == size+4 && strings.HasPrefix(data, fmt.Sprintf(`"%d xx`, i))
}

// Messages far over limits.queue_bytes, several in a row, and together far over
// limits.total_queue_bytes if counted for each client, reach every reading client, whatever the
// transport and the channel's policy.
func TestLargeMessagesReachWhoReads(t *testing.T) {
	const each = 6 // clients of a transport
	ways(t, func(t *testing.T, way gateway.IOUring) {
		policy := map[gateway.IOUring]gateway.SlowPolicy{gateway.IOUringAuto: gateway.SlowDisconnect, gateway.IOUringOff: gateway.SlowDropOldest}[way]
		in := startWith(t, redistest.Start(t), func(c *gateway.Config) {
			c.Socket.IOUring = string(way)
			c.Limits.TotalQueueBytes = 40 << 20
			c.Channels = []gateway.ChannelRule{{Match: []string{"big"}, Slow: policy}}
		}, func(c *fanout.Config) {
			c.Ring.Bytes = 32 << 20 // for the polls, one after the other
		}).ready()
		var readers sync.WaitGroup
		defer readers.Wait()
		for range each {
			c := in.subscribed("big")
			readers.Go(func() {
				for i, size := range largeSizes {
					c.SetReadDeadline(time.Now().Add(patience))
					if _, text, err := c.ReadMessage(); err != nil || len(text) < size {
						t.Errorf("a WebSocket got %.100s, %v in place of message %d", text, err, i)
						return
					}
				}
			})
			s := in.events("/v1/sse?channels=big,other", "")
			s.expect("subscribed")
			s.expect("subscribed")
			readers.Go(func() {
				for i, size := range largeSizes {
					_, e, err := readEvent(s.r)
					for err == nil && e.Type == "" { // an id alone, a heartbeat
						_, e, err = readEvent(s.r)
					}
					if err != nil || !isLarge(string(e.Data), i, size) {
						t.Errorf("an event stream got %.100s, %v in place of message %d", e.Data, err, i)
						return
					}
				}
			})
			for _, channels := range []string{"big", "big,other"} {
				cursor := in.poll(nil, "wait=0&channels="+channels).Cursor
				readers.Go(func() {
					for i := 0; i < len(largeSizes); {
						resp, err := gatewaytest.Once.Get("http://" + in.Addr() + "/v1/poll?wait=25&channels=" + channels + "&cursor=" + cursor)
						if err != nil {
							t.Errorf("a poll for message %d: %v", i, err)
							return
						}
						p, err := tryReadPolled(resp)
						if err != nil || len(p.Gaps) > 0 {
							t.Errorf("a poll for message %d: gaps %v, %v", i, p.Gaps, err)
							return
						}
						for _, data := range p.data(t) {
							if !isLarge(data, i, largeSizes[i]) {
								t.Errorf("a poll got %.100s in place of message %d", data, i)
								return
							}
							i++
						}
						cursor = p.Cursor
					}
				})
			}
		}
		in.publishLarge("big", largeSizes...)
		readers.Wait()
		if st := in.totals(); st.closes[reasons.CloseSlow]+st.closes[reasons.CloseOverload] > 0 || st.drops[reasons.DropOldest] > 0 {
			t.Errorf("closes %v, drops %v", st.closes, st.drops)
		}
		eventually(t, "nothing is queued", func() bool { return in.metric("gateway_queue_bytes") == 0 })
	})
}

// A client that reads none of the large messages is closed all the same, with a
// few of them in its queue at most, while one beside it gets them all.
func TestLargeMessagesCloseWhoDoesNotRead(t *testing.T) {
	const size = 1_000_000
	ways(t, func(t *testing.T, way gateway.IOUring) {
		in := start(t, func(c *gateway.Config) { c.Socket.IOUring = string(way) }).ready()
		deaf, healthy := in.lazy("big"), in.subscribed("big")
		most, sent := int64(0), 0
		for end := time.Now().Add(patience); in.totals().closes[reasons.CloseSlow] == 0; sent++ {
			if time.Now().After(end) {
				t.Fatalf("not closed after %d messages", sent)
			}
			in.publishLarge("big", size)
			healthy.expect("message")
			most = max(most, in.totals().queueBytes)
		}
		if most > (gateway.FreeItems+2)*(size+100) {
			t.Errorf("%d bytes were queued after %d messages", most, sent)
		}
		if code := deaf.closed(); code != 4002 {
			t.Errorf("closed with %d", code)
		}
		in.publishLarge("big", size)
		healthy.expect("message")
	})
}

// Deaf clients with large messages of their own stay within the total bound. Clients with small
// queues aren't closed for them.
func TestLargeMessagesOfManyWhoDoNotRead(t *testing.T) {
	const clients, size, total, few = 40, 1_000_000, 16 << 20, 6
	in := start(t, func(c *gateway.Config) { c.Limits.TotalQueueBytes = total }).ready()
	for i := range clients {
		in.dialLazy(fmt.Sprintf("/v1/ws?channels=own.%d", i))
	}
	for range few {
		in.dialLazy("/v1/ws?channels=small")
	}
	eventually(t, "all have their channels", func() bool { return in.totals().subscriptions == clients+few })
	eventually(t, "all that get small messages have a queue", func() bool {
		in.redis.Publish("small", strings.Repeat("x", gateway.LargeBytes/2))
		return in.totals().queues == few
	})
	for i := range clients {
		in.publishLarge(fmt.Sprintf("own.%d", i), size)
		// A shard that has less than its half waits for the other one to notice.
		if n := in.metric("gateway_queue_bytes"); n > total*3/2+2*size {
			t.Fatalf("%.0f bytes are queued, %d are allowed", n, total)
		}
	}
	eventually(t, "some were closed for it", func() bool {
		return in.totals().closes[reasons.CloseOverload] > clients/4 && in.metric("gateway_queue_bytes") < total
	})
	var small struct{ Subscribers int }
	if in.call("GET", "/v1/channels/small", "", &small); small.Subscribers != few {
		t.Errorf("%d of %d who hold little are left", small.Subscribers, few)
	}
}

// A message over limits.payload_bytes is delivered to no client and closes none: all get a gap
// notice, and it counts. A reload lets the next one through.
func TestMessageOverTheLimit(t *testing.T) {
	const limit = 64 << 10
	in := start(t, func(c *gateway.Config) {
		c.Limits.PayloadBytes = limit
		c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}}
	}).ready()
	ws, raw, sse := in.subscribed("big"), in.dial("/v1/ws?format=raw&channels=big"), in.events("/v1/sse?channels=big", "")
	sse.expect("subscribed")
	poll := in.poll(nil, "wait=0&channels=big")
	eventually(t, "all have the channel", func() bool { return in.totals().subscriptions == 3 })
	in.publishLarge("big", limit)
	in.redis.Publish("big", "1")
	if e := ws.expect("gap"); e.Reason != "too_large" || e.Channel != "big" {
		t.Errorf("got %+v", e)
	}
	ws.expect("message")
	if _, e := sse.expect("gap"); e.Reason != "too_large" {
		t.Errorf("got %+v", e)
	}
	sse.expect("message")
	if _, text, err := raw.ReadMessage(); err != nil || string(text) != "1" {
		t.Errorf("raw: %q, %v", text, err)
	}
	eventually(t, "a poll has what follows", func() bool {
		p := in.poll(nil, "wait=0&channels=big&cursor="+poll.Cursor)
		return slices.Equal(p.Gaps, []string{"big"}) && slices.Equal(p.data(t), []string{"1"})
	})
	if n := in.metric(`gateway_dropped_messages_total{reason="too_large"}`); n != 1 {
		t.Errorf("%v are counted", n)
	}
	for listener, addr := range map[string]string{"the operator's": in.AdminAddr(), "the clients'": in.Addr()} {
		resp, err := gatewaytest.Once.Post("http://"+addr+"/v1/publish", "application/json",
			strings.NewReader(`{"channel":"big","data":"`+strings.Repeat("x", limit-1)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Errorf("%s publish: %s", listener, resp.Status)
		}
	}
	next := in.Live()
	next.Limits.PayloadBytes = 2 * limit
	if _, err := in.Reload(next); err != nil {
		t.Fatal(err)
	}
	in.publishLarge("big", limit)
	ws.expect("message")
	sse.expect("message")
}

// tryReadPolled is readPolled for other goroutines than the test's.
func tryReadPolled(resp *http.Response) (p polled, err error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		return p, fmt.Errorf("%s: %.100s, %w", resp.Status, body, err)
	}
	return p, json.Unmarshal(body, &p)
}
