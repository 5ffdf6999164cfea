package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"
)

// slowBeat is a heartbeat for shards whose clock is moved by hand: a ping every
// 40 ticks, an answer within 10.
func slowBeat(c *Config) {
	c.Heartbeat = HeartbeatConfig{Interval: 4 * time.Second, Timeout: time.Second}
}

func TestPingEachInterval(t *testing.T) {
	s := newStill(t, slowBeat)
	p := s.openWebSocket()
	var at []uint32
	for now := uint32(1); now <= 210; now++ {
		s.to(now)
		if got := p.receive(); got != nil {
			if string(got) != string(pingFrame) {
				t.Fatalf("got %q", got)
			}
			at = append(at, now)
			p.send(frame(ws.OpPong, ""))
		}
	}
	if len(at) != 5 || at[0] > 40 {
		t.Fatalf("pings at %v", at)
	}
	for i, tick := range at {
		if tick != at[0]+uint32(i)*40 {
			t.Errorf("pings at %v: the connection lost its place in the interval", at)
		}
	}
	if s.stats.pings != 5 || s.stats.closes[CloseTimeout] != 0 {
		t.Errorf("counted %d pings, %d timeouts", s.stats.pings, s.stats.closes[CloseTimeout])
	}
}

// Thousands that connect at once aren't pinged at once.
func TestPingsAreSpread(t *testing.T) {
	const clients = 200
	s := newStill(t, slowBeat)
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = s.openWebSocket()
	}
	// Those whose turn comes before they were silent for half an interval get
	// their first ping an interval later.
	for now := uint32(1); now <= 60; now++ {
		before := s.stats.pings
		s.to(now)
		if n := s.stats.pings - before; n > 2*clients/40 {
			t.Errorf("%d pings at tick %d", n, now)
		}
	}
	if s.stats.pings != clients {
		t.Errorf("%d pings in one and a half intervals, want %d", s.stats.pings, clients)
	}
}

func TestNoPingWhileTheClientTalks(t *testing.T) {
	for name, said := range map[string][]byte{
		"text": frame(ws.OpText, `{"type":"ping"}`),
		"ping": frame(ws.OpPing, ""),
		"pong": frame(ws.OpPong, ""),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, slowBeat)
			p := s.openWebSocket()
			for now := uint32(1); now <= 400; now++ {
				s.to(now)
				if now%15 == 0 {
					p.send(said)
					p.receive()
				}
			}
			if s.stats.pings != 0 || s.stats.closes[CloseTimeout] != 0 {
				t.Errorf("%d pings, %d timeouts", s.stats.pings, s.stats.closes[CloseTimeout])
			}
		})
	}
}

// Anything that the client sends after a ping answers it, up to the last tick.
func TestWhatAnswersAPing(t *testing.T) {
	for name, tc := range map[string]struct {
		said  []byte
		after uint32 // ticks
		alive bool
	}{
		"pong at once":           {frame(ws.OpPong, ""), 0, true},
		"pong just in time":      {frame(ws.OpPong, ""), 9, true},
		"text":                   {frame(ws.OpText, `{"type":"ping"}`), 5, true},
		"the start of a message": {[]byte{0x81}, 5, true},
		"pong too late":          {frame(ws.OpPong, ""), 10, false},
		"nothing":                {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, slowBeat)
			p := s.openWebSocket("news")
			pinged, _ := s.wheel.Due(p.slot)
			for now := uint32(1); now <= pinged+10; now++ {
				s.to(now)
				if tc.said != nil && now == pinged+tc.after {
					p.send(tc.said)
				}
			}
			got := string(p.receive())
			if tc.alive {
				if s.stats.closes[CloseTimeout] != 0 || !strings.HasPrefix(got, string(pingFrame)) || strings.Contains(got, "\x88") {
					t.Errorf("closed: %q", got)
				}
				return
			}
			bye := `{"type":"bye","reason":"timeout","reconnect_after_ms":`
			end := "\x88\x09\x03\xe9timeout"
			if !strings.HasPrefix(got, string(pingFrame)+"\x81") || !strings.Contains(got, bye) || !strings.HasSuffix(got, end) {
				t.Errorf("got %q", got)
			}
			if s.stats.closes[CloseTimeout] != 1 || s.stats.subscriptions != 0 {
				t.Errorf("%d timeouts counted, %d subscriptions left", s.stats.closes[CloseTimeout], s.stats.subscriptions)
			}
			// The client gets some time to close its side, and no more.
			last := pinged + 10 + ticks(linger)
			s.to(last - 1)
			if s.conns.used != 1 {
				t.Error("it had no time to close its side")
			}
			s.to(last)
			if s.conns.used != 0 || s.srv.connections.Load() != 0 {
				t.Error("its slot is still taken")
			}
		})
	}
}

const (
	quickInterval = time.Second
	quickTimeout  = 900 * time.Millisecond
)

// quickBeat is a heartbeat for real clocks.
func quickBeat(c *Config) {
	c.Heartbeat = HeartbeatConfig{Interval: quickInterval, Timeout: quickTimeout}
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
			in.stop() // what ends the read below
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
	if e := c.expect("bye"); e.Reason != string(CloseTimeout) || e.ReconnectAfterMS < 1 {
		t.Errorf("got %+v", e)
	}
	_, _, err := c.ReadMessage()
	var ce *websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != 1001 || ce.Text != string(CloseTimeout) {
		t.Errorf("got %v, want a close with 1001 %s", err, CloseTimeout)
	}
	c.Close()
	eventually(t, "it's gone", func() bool { return in.connections.Load() == 0 })
	if pings, n := in.metric("gateway_pings_total"), in.metric(`gateway_closes_total{reason="timeout"}`); pings != 1 || n != 1 {
		t.Errorf("%v pings and %v timeouts counted", pings, n)
	}
}

// A client that vanished, its buffers full, is closed and forgotten although
// neither the ping nor the close frame can reach it.
func TestVanishedClient(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *Config) {
		quickBeat(c)
		c.Limits.QueueBytes = 1 << 20
	}).ready()
	in.lazy("big")
	in.redis.Publish("big", strings.Repeat("x", 200<<10))
	eventually(t, "the kernel refuses it", func() bool { return in.totals().queueBytes > 0 })
	eventually(t, "it's closed", func() bool { return in.totals().closes[CloseTimeout] == 1 })
	eventually(t, "nothing is kept for it", func() bool {
		st := in.totals()
		return st.connections == 0 && st.queues == 0 && st.queueBytes == 0 && st.subscriptions == 0
	})
}

// A client that has nothing to say, and much to read before it sees a ping, is
// alive as long as it reads.
func TestReadingIsASignOfLife(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *Config) {
		quickBeat(c)
		c.Limits.QueueBytes = 4 << 20
	}).ready()
	for tries := 1; ; tries++ {
		before := in.totals().closes[CloseTimeout]
		pause, ok := in.readsFor(4 * quickInterval)
		timeouts := in.totals().closes[CloseTimeout] - before
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
	timeouts := in.totals().closes[CloseTimeout]
	eventually(in.t, "it's subscribed", func() bool { return in.totals().subscriptions == 1 })
	in.subscribed("big").Close() // confirmed behind the first
	for range 96 {
		in.redis.Publish("big", strings.Repeat("x", 16<<10))
	}
	eventually(in.t, "the kernel refuses it", func() bool {
		st := in.totals()
		return st.queueBytes > 0 || st.closes[CloseTimeout] > timeouts
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
