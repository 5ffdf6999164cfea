package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// lazy connects a client with a small receive buffer and waits until its
// channel is live.
func (in *instance) lazy(channel string) *client {
	in.t.Helper()
	c := in.dialLazy("/v1/ws?channels=" + channel)
	c.expect("welcome")
	c.expect("subscribed")
	return c
}

// dialLazy is dial with a small receive buffer.
func (in *instance) dialLazy(path string) *client {
	in.t.Helper()
	d := websocket.Dialer{NetDialContext: smallDialer.DialContext}
	conn, _, err := d.Dial("ws://"+in.Addr()+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { conn.Close() })
	return &client{Conn: conn, t: in.t}
}

// A client that never reads is closed once its queue passes the bound; one
// beside it on the same channel notices nothing.
func TestSlowClientIsClosed(t *testing.T) {
	const bound, size = 64 << 10, 8 << 10
	in := start(t, func(c *gateway.Config) { c.Limits.QueueBytes = bound }).ready()
	slow, healthy := in.lazy("flood"), in.subscribed("flood")
	payload := strings.Repeat("x", size)
	sent, most := 0, int64(0)
	for end := time.Now().Add(patience); in.totals().closes[reasons.CloseSlow] == 0; sent++ {
		if time.Now().After(end) {
			t.Fatalf("not closed after %d messages", sent)
		}
		in.redis.Publish("flood", fmt.Sprintf("%d %s", sent, payload))
		// The healthy client is never more than a message behind.
		if e := healthy.expect("message"); !strings.HasPrefix(string(e.Data), fmt.Sprintf(`"%d x`, sent)) {
			t.Fatalf("the healthy client got %.20s in place of %d", e.Data, sent)
		}
		most = max(most, in.totals().queueBytes)
	}
	// The frame being sent, one over the bound and the close frame may add to it.
	if most > bound+2*size+1024 {
		t.Errorf("%d bytes were queued, the bound is %d", most, bound)
	}
	if most < bound/2 {
		t.Errorf("closed with %d bytes queued, the bound is %d", most, bound)
	}
	if n := in.totals().queueBytes; n > 2*size {
		t.Errorf("%d bytes are still queued for the closed client", n)
	}
	// A client that then reads gets its earlier output, whole and in order, and the reason for the
	// end.
	for next := 0; ; next++ {
		slow.SetReadDeadline(time.Now().Add(patience))
		_, text, err := slow.ReadMessage()
		var ce *websocket.CloseError
		if errors.As(err, &ce) {
			if ce.Code != 4002 || ce.Text != string(reasons.CloseSlow) {
				t.Errorf("closed with %d %q", ce.Code, ce.Text)
			}
			break
		}
		if err != nil {
			t.Fatalf("after %d messages: %v", next, err)
		}
		if !bytes.Contains(text, fmt.Appendf(nil, `"%d x`, next)) {
			t.Fatalf("got %.120s in place of %d", text, next)
		}
		if next == sent {
			t.Fatal("the slow client lost nothing: it wasn't slow")
		}
	}
	slow.Close()
	eventually(t, "nothing is kept for it", func() bool {
		st := in.totals()
		return st.queues == 0 && st.queueBytes == 0 && st.connections == 1 && st.subscriptions == 1
	})
	if in.metric("gateway_queue_bytes") != 0 || in.metric(`gateway_closes_total{reason="slow"}`) != 1 {
		t.Error("the metrics don't say so")
	}
	in.redis.Publish("flood", "last")
	if e := healthy.expect("message"); string(e.Data) != `"last"` {
		t.Errorf("the healthy client got %.20s", e.Data)
	}
}

// A client that never reads and never closes either is forgotten after the
// linger time.
func TestDeafClientIsForgotten(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Limits.QueueBytes = 16 << 10 }).ready()
	in.lazy("flood")
	payload := strings.Repeat("x", 16<<10)
	eventually(t, "it's closed", func() bool {
		in.redis.Publish("flood", payload)
		return in.totals().closes[reasons.CloseSlow] == 1
	})
	eventually(t, "nothing is kept for it", func() bool {
		st := in.totals()
		return st.queues == 0 && st.queueBytes == 0 && st.connections == 0
	})
}

// A client that reads slowly but stays within the bound loses nothing: the
// stream is the same to the byte, however it was cut.
func TestSlowReaderWithinTheBound(t *testing.T) {
	const messages = 60
	in := start(t, func(c *gateway.Config) { c.Limits.QueueBytes = 4 << 20 }).ready()
	c := in.dialSmall()
	io.WriteString(c, strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?format=raw&channels=big", 1))
	eventually(t, "it's subscribed", func() bool { return in.totals().subscriptions == 1 })
	probe := in.subscribed("big") // confirmed behind the first
	random := rand.New(rand.NewPCG(1, 2))
	var want []byte
	for range messages {
		payload := make([]byte, 1+random.IntN(60<<10))
		for i := range payload {
			payload[i] = byte('a' + random.IntN(26))
		}
		in.redis.Publish("big", payload)
		probe.expect("message")
		want = wsframe.AppendFrame(want, ws.OpText, payload)
	}
	eventually(t, "all is delivered or queued", func() bool { return in.totals().deliveries == 2*messages })
	if st := in.totals(); st.queues != 1 || st.queueBytes < int64(len(want))/2 {
		t.Fatalf("%d bytes are queued, of %d: the client is not slow", st.queueBytes, len(want))
	}
	var got []byte
	for buf := make([]byte, 8<<10); ; {
		n, err := c.Read(buf[:1+random.IntN(len(buf))])
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
		got = append(got, buf[:n]...)
		if _, frames, ok := bytes.Cut(got, []byte("\r\n\r\n")); ok && len(frames) >= len(want) {
			if !bytes.Equal(frames, want) {
				at := 0
				for frames[at] == want[at] {
					at++
				}
				t.Fatalf("the stream differs from byte %d of %d", at, len(want))
			}
			break
		}
	}
	eventually(t, "nothing is queued", func() bool { st := in.totals(); return st.queueBytes == 0 && st.queues == 0 })
	// Written directly again.
	in.redis.Publish("big", "end")
	end := wsframe.AppendFrame(nil, ws.OpText, []byte("end"))
	if _, err := io.ReadFull(c, got[:len(end)]); err != nil || !bytes.Equal(got[:len(end)], end) {
		t.Errorf("got %q, %v", got[:len(end)], err)
	}
}

// Whatever ends a connection whose last frame is only half sent must send the
// rest of it before the close frame.
func TestCloseBehindAHalfSentFrame(t *testing.T) {
	t.Parallel()
	const size = 300 << 10
	for name, tc := range map[string]struct {
		queueBytes int
		end        func(*instance, *client)
		code       int
		messages   int // that the client must get before
	}{
		"bad frame": {1 << 20, func(_ *instance, c *client) { c.NetConn().Write([]byte("\x81\x02hi")) }, 1002, 3},
		"client":    {1 << 20, func(_ *instance, c *client) { c.WriteMessage(websocket.CloseMessage, []byte{3, 232}) }, 1000, 3},
		"drain":     {1 << 20, func(in *instance, _ *client) { in.stop() }, 1012, 3},
		"slow": {1 << 20, func(in *instance, _ *client) {
			// A client that starts to read below the bound isn't slow.
			more := strings.Repeat("y", size)
			eventually(in.t, "it's closed", func() bool {
				in.redis.Publish("half", more)
				return in.totals().closes[reasons.CloseSlow] == 1
			})
		}, 4002, 1},
	} {
		t.Run(name, func(t *testing.T) {
			in := start(t, func(c *gateway.Config) { c.Limits.QueueBytes = tc.queueBytes }).ready()
			c := in.lazy("half")
			for range 3 {
				in.redis.Publish("half", strings.Repeat("x", size))
			}
			eventually(t, "a frame is half sent", func() bool {
				st := in.totals()
				return st.deliveries == 3 && st.queueBytes > 0
			})
			tc.end(in, c)
			for i := 0; ; i++ {
				c.SetReadDeadline(time.Now().Add(patience))
				_, text, err := c.ReadMessage()
				var ce *websocket.CloseError
				if errors.As(err, &ce) {
					if ce.Code != tc.code || i < tc.messages {
						t.Errorf("closed with %d after %d messages, want %d after %d", ce.Code, i, tc.code, tc.messages)
					}
					break
				}
				if err != nil {
					t.Fatalf("the stream breaks after %d messages: %v", i, err)
				}
				if i < tc.messages && bytes.Count(text, []byte("x")) != size {
					t.Fatalf("message %d is not whole", i)
				}
			}
			c.NetConn().SetReadDeadline(time.Now().Add(patience))
			if n, err := c.NetConn().Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("behind the close frame: %d bytes, %v", n, err)
			}
		})
	}
}

// Requested history may exceed the queue bound.
func TestHistoryIsNotSlowness(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.QueueBytes = 1 << 10 }).ready()
	first := in.subscribed("h")
	var since string
	for i := range 20 {
		in.redis.Publish("h", fmt.Sprintf("%d %s", i, strings.Repeat("x", 5000)))
		if e := first.expect("message"); i == 0 {
			since = e.ID
		}
	}
	c := in.dialLazy("/v1/ws")
	c.expect("welcome")
	c.write(fmt.Sprintf(`{"type":"subscribe","channel":"h","since":%q}`, since))
	eventually(t, "it waits for the client", func() bool { return in.totals().queueBytes > 1<<10 })
	c.expect("subscribed")
	for i := 1; i < 20; i++ {
		if e := c.expect("message"); !strings.HasPrefix(string(e.Data), fmt.Sprintf(`"%d x`, i)) {
			t.Fatalf("got %.20s in place of %d", e.Data, i)
		}
	}
	in.redis.Publish("h", "end")
	if e := c.expect("message"); string(e.Data) != `"end"` {
		t.Errorf("got %.20s", e.Data)
	}
}
