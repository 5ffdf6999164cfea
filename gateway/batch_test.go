package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// ways runs a test with io_uring, where it is to be had, and without.
func ways(t *testing.T, test func(t *testing.T, way gateway.IOUring)) {
	t.Helper()
	for _, way := range []gateway.IOUring{gateway.IOUringAuto, gateway.IOUringOff} {
		t.Run(string(way), func(t *testing.T) {
			if way == gateway.IOUringAuto {
				probe, err := reactor.NewBatch()
				if err != nil {
					t.Skip(err)
				}
				probe.Close()
			}
			test(t, way)
		})
	}
}

// text is message n of a channel; every byte of it follows from channel and
// number.
func textOf(channel string, n int) string {
	r := rand.New(rand.NewPCG(uint64(len(channel)), uint64(n)))
	body := strings.Repeat(string(rune('a'+n%26)), r.IntN(1+r.IntN(12<<10)))
	return fmt.Sprintf("%s %d %s", channel, n, body)
}

// Clients on small buffers read fast, slowly, or not for a while, or die at any moment: the
// survivors get every byte of every channel once and in order.
func TestStreamsStayWhole(t *testing.T) {
	const messages, perKind = 300, 20
	channels := []string{"one", "other"}
	ways(t, func(t *testing.T, way gateway.IOUring) {
		in := start(t, func(c *gateway.Config) {
			c.Socket.IOUring = string(way)
			c.Socket.SendBuffer = 2 << 10
			c.Limits.QueueBytes = 64 << 20
		}).ready()
		var readers sync.WaitGroup
		defer readers.Wait()
		read := func(c *client, pause func(n int)) {
			defer readers.Done()
			var next [2]int
			for n := 0; next != [2]int{messages, messages}; n++ {
				pause(n)
				c.SetReadDeadline(time.Now().Add(patience))
				_, text, err := c.ReadMessage()
				if err != nil {
					t.Errorf("the stream ends after %d messages: %v", n, err)
					return
				}
				for i, channel := range channels {
					if strings.HasPrefix(string(text), channel+" ") {
						if want := textOf(channel, next[i]); string(text) != want {
							t.Errorf("got %.40q (%d bytes) in place of %.40q (%d)", text, len(text), want, len(want))
							return
						}
						next[i]++
					}
				}
			}
		}
		path := "/v1/ws?format=raw&channels=" + strings.Join(channels, ",")
		var doomed []*client
		for i := range perKind {
			readers.Add(3)
			go read(in.dial(path), func(int) {})
			go read(in.dialLazy(path), func(n int) {
				if n%16 == i%16 {
					time.Sleep(time.Millisecond)
				}
			})
			go read(in.dialLazy(path), func(n int) {
				if n == 5+i {
					time.Sleep(200 * time.Millisecond)
				}
			})
			doomed = append(doomed, in.dialLazy(path))
		}
		clients := 4 * perKind
		eventually(t, "all are subscribed", func() bool { return in.totals().subscriptions == 2*clients })
		r := rand.New(rand.NewPCG(1, 2))
		for n := range messages {
			for _, channel := range channels {
				in.redis.Publish(channel, textOf(channel, n))
			}
			if len(doomed) > 0 && r.IntN(messages/2/perKind) == 0 {
				if c := doomed[0].NetConn(); len(doomed)%2 == 0 {
					reset(c)
				} else {
					c.Close()
				}
				doomed = doomed[1:]
			}
		}
		readers.Wait()
		st := in.totals()
		if st.closes[reasons.CloseSlow] > 0 {
			t.Errorf("%d clients were ended for being slow", st.closes[reasons.CloseSlow])
		}
		if (st.batched > 0) != (way == gateway.IOUringAuto) {
			t.Errorf("%d sends were batched", st.batched)
		}
		eventually(t, "nothing is queued", func() bool { st := in.totals(); return st.queueBytes == 0 && st.queues == 0 })
	})
}
