package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/protocol/websocket"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// slowBeat is a heartbeat for shards whose clock is advanced by hand: a ping every 40 ticks, a
// response within 10.
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
			if string(got) != string(websocket.PingFrame) {
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
	if s.hub.Stats.Pings != 5 || s.conns.Stats().Closes[reasons.CloseTimeout] != 0 {
		t.Errorf("counted %d pings, %d timeouts", s.hub.Stats.Pings, s.conns.Stats().Closes[reasons.CloseTimeout])
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
	// A client whose turn comes before it was silent for half an interval gets its first ping an
	// interval later.
	for now := uint32(1); now <= 60; now++ {
		before := s.hub.Stats.Pings
		s.to(now)
		if n := s.hub.Stats.Pings - before; n > 2*clients/40 {
			t.Errorf("%d pings at tick %d", n, now)
		}
	}
	if s.hub.Stats.Pings != clients {
		t.Errorf("%d pings in one and a half intervals, want %d", s.hub.Stats.Pings, clients)
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
			if s.hub.Stats.Pings != 0 || s.conns.Stats().Closes[reasons.CloseTimeout] != 0 {
				t.Errorf("%d pings, %d timeouts", s.hub.Stats.Pings, s.conns.Stats().Closes[reasons.CloseTimeout])
			}
		})
	}
}

// Any bytes of the client after a ping count as a pong, up to the last tick.
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
			pinged, _ := s.conns.Clock.Due(p.slot)
			for now := uint32(1); now <= pinged+10; now++ {
				s.to(now)
				if tc.said != nil && now == pinged+tc.after {
					p.send(tc.said)
				}
			}
			got := string(p.receive())
			if tc.alive {
				if s.conns.Stats().Closes[reasons.CloseTimeout] != 0 || !strings.HasPrefix(got, string(websocket.PingFrame)) || strings.Contains(got, "\x88") {
					t.Errorf("closed: %q", got)
				}
				return
			}
			bye := `{"type":"bye","reason":"timeout","reconnect_after_ms":`
			end := "\x88\x09\x03\xe9timeout"
			if !strings.HasPrefix(got, string(websocket.PingFrame)+"\x81") || !strings.Contains(got, bye) || !strings.HasSuffix(got, end) {
				t.Errorf("got %q", got)
			}
			if s.conns.Stats().Closes[reasons.CloseTimeout] != 1 || s.hub.Stats.Subscriptions != 0 {
				t.Errorf("%d timeouts counted, %d subscriptions left", s.conns.Stats().Closes[reasons.CloseTimeout], s.hub.Stats.Subscriptions)
			}
			// The client gets some time to close its side, and no more.
			last := pinged + 10 + conn.Ticks(conn.Linger)
			s.to(last - 1)
			if s.conns.Slots.Len() != 1 {
				t.Error("it had no time to close its side")
			}
			s.to(last)
			if s.conns.Slots.Len() != 0 || s.srv.net.Connections.Load() != 0 {
				t.Error("its slot is still taken")
			}
		})
	}
}

// After a stall every socket is read before a deadline is judged: the loop brings
// the events of some of them at a time.
func TestPongsOfAStall(t *testing.T) {
	const clients = 2*conn.EventsPerRound + 10
	s := newStill(t, slowBeat)
	var peers []*peer
	for range clients {
		peers = append(peers, s.openWebSocket())
	}
	now := uint32(1)
	for ; s.hub.Stats.Pings == 0; now++ {
		s.to(now)
	}
	s.to(now + 8) // the first of them have two ticks left
	owed := s.hub.Stats.Pings
	for _, p := range peers {
		p.write(frame(ws.OpPong, ""))
	}
	s.beat(now+30, time.Now(), nil)
	for len(peers) > 0 {
		s.Turn()
		// Those that were pinged last are read first.
		n := max(0, len(peers)-conn.EventsPerRound)
		for _, p := range peers[n:] {
			s.Ready(reactor.Key{Slot: p.slot, Gen: p.gen}, reactor.In)
		}
		peers = peers[:n]
	}
	for s.Turn() {
	}
	if n := s.conns.Stats().Closes[reasons.CloseTimeout]; n != 0 {
		t.Errorf("%d of %d clients were closed that had sent their pong", n, owed)
	}
}
