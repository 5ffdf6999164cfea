package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
)

func TestHotPathsAllocateNothing(t *testing.T) {
	InTheClear(t, CostOfRecords)
	s := newStill(t, nil)
	p := s.openWebSocket("news")
	silent := s.openWebSocket()
	ch, _ := s.hub.Channels.Index.Lookup([]byte("news"))
	text := message.New("news", message.Position{Node: "still", Seq: 1}, 1, []byte(strings.Repeat("x", 128)))
	encoded := len(text.Encoded(message.FormText))
	ping, pong, part := frame(ws.OpPing, "payload"), frame(ws.OpPong, ""), frame(ws.OpText, "{")
	part[0] &^= 0x80 // more fragments follow
	interval, timeout := conn.Ticks(s.cfg.Heartbeat.Interval), conn.Ticks(s.cfg.Heartbeat.Timeout)
	s.conns.Clock.Clear(p.slot) // only the silent one is to be pinged
	first, _ := s.conns.Clock.Due(silent.slot)
	s.to(first)
	silent.receive()
	silent.send(pong)
	p.receive()
	pings := s.hub.Stats.Pings
	next := first
	for name, tc := range map[string]struct {
		run  func()
		want func(got []byte) bool // called with the client's output at the end
	}{
		"deliver": {
			func() {
				s.hub.Channels.Index.Publish(ch, text)
				s.Turn()
			},
			func(got []byte) bool { return len(got) == encoded },
		},
		"ping of the client": {
			func() { p.send(ping) },
			func(got []byte) bool { return string(got) == "\x8a\x07payload" },
		},
		"ping of the client, byte by byte": {
			func() {
				for i := range ping {
					p.send(ping[i : i+1])
				}
			},
			func(got []byte) bool { return string(got) == "\x8a\x07payload" },
		},
		"pong of the client": {
			func() { p.send(pong) },
			func(got []byte) bool { return got == nil },
		},
		"part of a message": {
			func() {
				p.send(part)
				s.native.Free(p.slot)
				s.conns.Input.Free(p.slot)
			},
			func(got []byte) bool { return got == nil },
		},
		"heartbeat": {
			func() {
				next += interval
				s.to(next)
				silent.send(pong)
				s.to(next + timeout) // the check for the pong
			},
			func(got []byte) bool { return true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			run := func() {
				tc.run()
				got = p.receive()
				silent.receive()
			}
			run()
			if n := testing.AllocsPerRun(200, run); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if !tc.want(got) {
				t.Errorf("the client got %q", got)
			}
		})
	}
	if s.hub.Stats.Pings < pings+200 {
		t.Errorf("only %d pings were sent", s.hub.Stats.Pings-pings)
	}
}

// A command allocates only for encoding/json and its reply.
func TestCommandAllocatesOnlyItsJSON(t *testing.T) {
	InTheClear(t, CostOfRecords)
	s := newStill(t, nil)
	p := s.openWebSocket()
	text := `{"type":"ping","ref":7}`
	sent := frame(ws.OpText, text)
	raw := []byte(text)
	var got []byte
	// The race detector makes sync.Pool forget at random, so each is measured
	// a few times and the most of one compared with the least of the other.
	alone, all := 0.0, 1000.0
	for range 5 {
		alone = max(alone, testing.AllocsPerRun(100, func() {
			cmd := new(struct {
				Type string     `json:"type"`
				Ref  client.Ref `json:"ref"`
			})
			if err := json.Unmarshal(raw, cmd); err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(protocol.Reply{Type: "pong", Ref: cmd.Ref}); err != nil {
				t.Fatal(err)
			}
		}))
		all = min(all, testing.AllocsPerRun(100, func() {
			p.send(sent)
			got = p.receive()
		}))
	}
	if !strings.HasSuffix(string(got), `{"type":"pong","ref":7}`) {
		t.Errorf("got %q", got)
	}
	if all > alone {
		t.Errorf("%v allocations, of which JSON makes %v", all, alone)
	}
}

// BenchmarkDeliver hands a message of 128 bytes to one subscriber, by one
// write to a socket that is then read.
func BenchmarkDeliver(b *testing.B) {
	s := newStill(b, nil)
	p := s.openWebSocket("news")
	ch, _ := s.hub.Channels.Index.Lookup([]byte("news"))
	text := message.New("news", message.Position{Node: "still", Seq: 1}, 1, []byte(strings.Repeat("x", 128)))
	b.ReportAllocs()
	for b.Loop() {
		s.hub.Channels.Index.Publish(ch, text)
		s.Turn()
		p.receive()
	}
}

// BenchmarkHandshake accepts a WebSocket handshake that arrives in one piece on an open socket.
func BenchmarkHandshake(b *testing.B) {
	s := newStill(b, nil)
	p := s.connect()
	head := []byte(upgradeHead)
	b.ReportAllocs()
	for b.Loop() {
		p.send(head)
		if len(p.receive()) == 0 {
			b.Fatal("no answer")
		}
		s.hub.Ended(p.slot)
		s.http.Events.Accepted(p.slot)
	}
}
