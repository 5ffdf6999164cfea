package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway"
)

// longestTurn posts to the loop again and again until stop is called, which returns the longest
// delay of a post.
func (in *instance) longestTurn() (stop func() time.Duration) {
	ended, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			asked := time.Now()
			in.Turn()
			most = max(most, time.Since(asked))
			select {
			case <-ended:
				longest <- most
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
	}()
	return func() time.Duration { close(ended); return <-longest }
}

// BenchmarkPollChannels measures a poll of many channels without messages, from the request to the
// response, and the longest time that the loop was busy.
func BenchmarkPollChannels(b *testing.B) {
	for _, n := range []int{100, 1000, message.MaxCursorChannels} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			in := start(b, func(c *gateway.Config) {
				c.Shards, c.Limits.ChannelsPerConnection, c.Limits.MessageBytes = 1, message.MaxCursorChannels, 1<<20
			}).ready()
			hc := &http.Client{Timeout: patience}
			defer hc.CloseIdleConnections()
			poll := func(cursor string) string {
				body, err := json.Marshal(map[string]any{"channels": gateway.ManyChannels(n), "cursor": cursor, "wait": 0})
				if err != nil {
					b.Fatal(err)
				}
				resp, err := hc.Post("http://"+in.Addr()+"/v1/poll", "application/json", strings.NewReader(string(body)))
				if err != nil {
					b.Fatal(err)
				}
				return readPolled(b, resp).Cursor
			}
			cursor := poll(poll(""))
			stop := in.longestTurn()
			for b.Loop() {
				cursor = poll(cursor)
			}
			b.ReportMetric(float64(stop().Microseconds()), "us-longest")
		})
	}
}
