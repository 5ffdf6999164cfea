package gateway_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A client may be lost, or closed as slow, at any write to it. Whatever the write was for, no state
// is left for the slot's next client.
func TestEndAtEveryWrite(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Shards, c.Limits.ChannelsPerConnection, c.Socket.SendBuffer = 1, 400, 4<<10
		c.Channels = []gateway.ChannelRule{{Match: []string{"*"}, Publish: true}}
	}).ready()
	old := ago(time.Minute)
	for n := range 50 {
		entry(t, in.redis, "kept", ago(time.Minute-time.Duration(n+1)*time.Second), strings.Repeat("x", 4<<10))
	}
	socket := strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=a,kept&cursor="+old, 1)
	for _, command := range []string{
		`{"type":"subscribe","channel":"b"}`, `{"type":"subscribe","channel":"kept","since":"` + old + `"}`,
		`{"type":"subscribe","channel":"c","history":5}`, `{"type":"nonsense"}`, `{"type":"unsubscribe","channel":"a"}`,
		`{"type":"ping"}`, `{"type":"publish","channel":"b","data":1}`,
	} {
		socket += string(gateway.Frame(ws.OpText, command))
	}
	many := make([]string, 300)
	for n := range many {
		many[n] = fmt.Sprintf("many.%d", n)
	}
	list := strings.Join(many, ",")
	clients := map[string]struct{ send, last string }{
		"WebSocket": {socket, `"live"`},
		"WebSocket with many channels": {
			strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=a,"+list, 1) + string(gateway.Frame(ws.OpText, `{"type":"publish","channel":"many.299","data":1}`)), `"live"`},
		"stream":  {get("/v1/sse?channels=a,kept&cursor=" + old), `"live"`},
		"history": {get("/v1/sse?channels=kept&history=30"), `"live"`},
		"polls": {get("/v1/poll?channels=a&wait=0") + get("/v1/poll?channels=a,kept&wait=0&cursor="+old) +
			post("/v1/poll", `{"channels":["`+strings.Join(many, `","`)+`"],"wait":0}`) + post("/v1/publish", `{"channel":"b","data":1}`) +
			get("/healthz") + get("/v1/poll?channels=a", "Connection: close\r\n"), ""},
	}
	for name, client := range clients {
		for _, reason := range []reasons.Close{reasons.CloseReset, reasons.CloseSlow} {
			t.Run(name+", "+string(reason), func(t *testing.T) {
				for n := 1; ; n++ {
					writes := 0
					in.OnWrite(func() reasons.Close {
						if writes++; writes == n {
							return reason
						}
						return ""
					})
					done := make(chan struct{})
					go func() {
						defer close(done)
						c, err := dialer.Dial("tcp", in.Addr())
						if err != nil {
							return // a write of its TLS handshake was the one
						}
						defer c.Close()
						c.SetDeadline(time.Now().Add(patience))
						if _, err := io.WriteString(c, client.send); err == nil {
							readUntil(c, client.last)
						}
					}()
					for waiting := true; waiting; {
						select {
						case <-done:
							waiting = false
						case <-time.After(5 * time.Millisecond):
							in.redis.Publish("a", `"live"`)
							in.redis.Publish("kept", `"live"`)
						}
					}
					eventually(t, "nothing is left", func() bool { return in.Left() == "" })
					if writes < n {
						if n < 3 {
							t.Errorf("%d writes are too few", writes)
						}
						break
					}
				}
			})
		}
	}
}

// readUntil reads until text appears, or the end of the stream; with no text until the end.
func readUntil(c net.Conn, text string) {
	var got strings.Builder
	buf := make([]byte, 64<<10)
	for text == "" || !strings.Contains(got.String(), text) {
		n, err := c.Read(buf)
		got.Write(buf[:n])
		if err == io.EOF || err != nil {
			return
		}
	}
}
