package gateway

import (
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A batched send goes out before another direct send to the same client, and before the client is
// closed.
func TestBatchedClientIsSettledFirst(t *testing.T) {
	for name, then := range map[string]func(s *still, p *peer, c *conn){
		"a send":   func(s *still, p *peer, c *conn) { s.send(p.slot, c, []byte("2")) },
		"a copy":   func(s *still, p *peer, c *conn) { s.sendCopy(p.slot, c, []byte("2")) },
		"history":  func(s *still, p *peer, c *conn) { s.sendHistory(p.slot, c, [][]byte{[]byte("2")}) },
		"a batch":  func(s *still, p *peer, c *conn) { s.sendBatched(p.slot, c, outgoing{b: []byte("2")}) },
		"a goodby": func(s *still, p *peer, c *conn) { s.finish(p.slot, c, reasons.CloseDrain, []byte("2")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, nil)
			if s.batch.ring == nil {
				t.Skip("io_uring is not available")
			}
			p, other := s.openWebSocket(), s.openWebSocket()
			s.sendBatched(p.slot, s.conns.at(p.slot), outgoing{b: []byte("1")})
			s.sendBatched(other.slot, s.conns.at(other.slot), outgoing{b: []byte("x")})
			if got := p.receive(); got != nil {
				t.Fatalf("sent %q before the end of the turn", got)
			}
			then(s, p, s.conns.at(p.slot))
			s.submit()
			if got := p.receive(); string(got) != "12" {
				t.Errorf("got %q, want 12", got)
			}
			if got := other.receive(); string(got) != "x" {
				t.Errorf("the other client got %q", got)
			}
		})
	}
}

// A client that is released with a send in the batch gets it, and its number
// is not written to after it was given to the next one.
func TestReleaseOfABatchedClient(t *testing.T) {
	s := newStill(t, nil)
	if s.batch.ring == nil {
		t.Skip("io_uring is not available")
	}
	p := s.openWebSocket()
	s.sendBatched(p.slot, s.conns.at(p.slot), outgoing{b: []byte("last")})
	s.release(p.slot, s.conns.at(p.slot), reasons.CloseByClient)
	s.reap()
	next := s.openWebSocket()
	s.submit()
	if got := p.receive(); string(got) != "last" {
		t.Errorf("got %q", got)
	}
	if got := next.receive(); got != nil {
		t.Errorf("the next client got %q", got)
	}
}

// The batch finds a disconnected client, and the others aren't affected.
func TestBatchToTheDead(t *testing.T) {
	s := newStill(t, nil)
	if s.batch.ring == nil {
		t.Skip("io_uring is not available")
	}
	dead, alive := s.openWebSocket("news"), s.openWebSocket("news")
	dead.close()
	ch, _ := s.index.Lookup([]byte("news"))
	m := message.New("news", message.Position{Node: "still", Seq: 1}, 1, []byte("hello"))
	s.index.Publish(ch, m)
	s.Turn()
	if s.conns.find(dead.slot, dead.gen) != nil {
		t.Error("the dead client is still there")
	}
	if got := alive.receive(); string(got) != string(m.Encoded(message.FormText)) {
		t.Errorf("the other client got %q", got)
	}
	if st := &s.stats; st.closes[reasons.CloseReset] != 1 || st.batched < 2 {
		t.Errorf("closes %v, batched %d", st.closes, st.batched)
	}
}
