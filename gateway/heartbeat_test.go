package gateway_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

const (
	quickInterval = time.Second
	quickTimeout  = 900 * time.Millisecond
)

// quickBeat is a heartbeat for real clocks.
func quickBeat(c *gateway.Config) {
	c.Heartbeat = gateway.HeartbeatConfig{Interval: quickInterval, Timeout: quickTimeout}
}

func TestPongKeepsAlive(t *testing.T) {
	t.Parallel()
	in := start(t, quickBeat)
	c := in.dial("/v1/ws")
	c.expect("welcome")
	pings := 0
	answer := c.PingHandler()
	c.SetPingHandler(func(data string) error {
		if pings++; pings == 4 {
			in.stop() // ends the read below
		}
		return answer(data)
	})
	if code := c.closed(); code != 1012 || pings < 4 {
		t.Errorf("closed with %d after %d pings", code, pings)
	}
}

func TestSilentClientIsClosed(t *testing.T) {
	t.Parallel()
	in := start(t, quickBeat)
	c := in.dial("/v1/ws")
	c.expect("welcome")
	c.SetPingHandler(func(string) error { return nil })
	if e := c.expect("bye"); e.Reason != string(reasons.CloseTimeout) || e.ReconnectAfterMS < 1 {
		t.Errorf("got %+v", e)
	}
	_, _, err := c.ReadMessage()
	var ce *websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != 1001 || ce.Text != string(reasons.CloseTimeout) {
		t.Errorf("got %v, want a close with 1001 %s", err, reasons.CloseTimeout)
	}
	c.Close()
	eventually(t, "it's gone", func() bool { return in.totals().connections == 0 })
	if pings, n := in.metric("gateway_pings_total"), in.metric(`gateway_closes_total{reason="timeout"}`); pings != 1 || n != 1 {
		t.Errorf("%v pings and %v timeouts counted", pings, n)
	}
}

// A client that vanished, its buffers full, is closed and forgotten although
// neither the ping nor the close frame can reach it.
func TestVanishedClient(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		quickBeat(c)
		c.Limits.QueueBytes = 1 << 20
	}).ready()
	in.lazy("big")
	in.redis.Publish("big", strings.Repeat("x", 200<<10))
	eventually(t, "the kernel refuses it", func() bool { return in.totals().queueBytes > 0 })
	eventually(t, "it's closed", func() bool { return in.totals().closes[reasons.CloseTimeout] == 1 })
	eventually(t, "nothing is kept for it", func() bool {
		st := in.totals()
		return st.connections == 0 && st.queues == 0 && st.queueBytes == 0 && st.subscriptions == 0
	})
}

// A client that has nothing to say, and much to read before it sees a ping, is
// alive as long as it reads.
func TestReadingIsASignOfLife(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		quickBeat(c)
		c.Limits.QueueBytes = 4 << 20
	}).ready()
	for tries := 1; ; tries++ {
		before := in.totals().closes[reasons.CloseTimeout]
		pause, ok := in.readsFor(4 * quickInterval)
		timeouts := in.totals().closes[reasons.CloseTimeout] - before
		switch {
		case timeouts == 0 && ok:
			return
		case pause < quickTimeout/2:
			t.Fatalf("%d timeouts of a client that never stopped for longer than %v", timeouts, pause)
		case tries == 20:
			t.Fatalf("this machine can't read without pauses; the last one took %v", pause)
		}
		// The machine was busy with other things: the client did stop.
	}
}

// readsFor has a client whose queue is never empty read steadily for a time. It
// returns the longest pause between two reads, and whether none failed.
func (in *instance) readsFor(d time.Duration) (pause time.Duration, ok bool) {
	in.t.Helper()
	c := in.dialLazy("/v1/ws?format=raw&channels=big")
	defer c.Close()
	last := time.Now()
	timeouts := in.totals().closes[reasons.CloseTimeout]
	eventually(in.t, "it's subscribed", func() bool { return in.totals().subscriptions == 1 })
	in.subscribed("big").Close() // confirmed behind the first
	for range 96 {
		in.redis.Publish("big", strings.Repeat("x", 16<<10))
	}
	eventually(in.t, "the kernel refuses it", func() bool {
		st := in.totals()
		return st.queueBytes > 0 || st.closes[reasons.CloseTimeout] > timeouts
	})
	conn := c.NetConn()
	conn.SetReadDeadline(time.Now().Add(patience))
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	begin := time.Now()
	buf := make([]byte, 4<<10)
	for time.Since(begin) < d {
		_, err := io.ReadFull(conn, buf)
		pause, last = max(pause, time.Since(last)), time.Now()
		if err != nil {
			return pause, false
		}
		<-pace.C
	}
	if in.totals().queueBytes == 0 {
		in.t.Fatal("all was read too soon for a timeout")
	}
	return pause, true
}
