package gateway

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/reactor"
)

// stall stops the only shard's loop for longer than d, and has clients do
// something meanwhile.
func (in *instance) stall(d time.Duration, meanwhile func()) {
	in.t.Helper()
	held := make(chan struct{})
	begun := make(chan struct{})
	in.shards[0].post(func() { close(begun); <-held })
	<-begun
	end := time.Now().Add(d)
	meanwhile()
	eventually(in.t, "the stall is long enough", func() bool { return time.Now().After(end) })
	close(held)
	eventually(in.t, "deadlines are judged again", func() bool {
		return in.onLoop(func(s *shard) bool { return s.wheel.Now() >= in.tickOf(end)+3 })
	})
}

// What clients send while the loop stalls is read before any of them is judged
// by the time that passed.
func TestStallIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	t.Run("a request that waits to be accepted", func(t *testing.T) {
		t.Parallel()
		in := start(t, func(c *Config) { c.Shards = 1; c.Limits.HeadTimeout = 300 * time.Millisecond }).ready()
		const clients = 20
		var conns []net.Conn
		in.stall(time.Second, func() {
			for range clients {
				conns = append(conns, in.raw("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
			}
		})
		for _, c := range conns {
			c.SetReadDeadline(time.Now().Add(patience))
			answer, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
				t.Fatalf("got %q, %v", answer, err)
			}
		}
	})
	t.Run("a request that is on its way", func(t *testing.T) {
		t.Parallel()
		in := start(t, func(c *Config) { c.Shards = 1; c.Limits.HeadTimeout = 2 * time.Second }).ready()
		var c net.Conn
		in.stall(2500*time.Millisecond, func() { c = in.raw("") })
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(patience))
		if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
			t.Fatalf("got %q, %v", answer, err)
		}
	})
}

// After a stall every socket is read before a deadline is judged: the loop brings
// the events of some of them at a time.
func TestPongsOfAStall(t *testing.T) {
	const clients = 2*eventsPerRound + 10
	s := newStill(t, slowBeat)
	var peers []*peer
	for range clients {
		peers = append(peers, s.openWebSocket())
	}
	now := uint32(1)
	for ; s.stats.pings == 0; now++ {
		s.to(now)
	}
	s.to(now + 8) // the first of them have two ticks left
	owed := s.stats.pings
	for _, p := range peers {
		if _, err := syscall.Write(p.fd, frame(ws.OpPong, "")); err != nil {
			t.Fatal(err)
		}
	}
	s.beat(now+30, time.Now(), nil)
	for len(peers) > 0 {
		s.Turn()
		// Those that were pinged last are read first.
		n := max(0, len(peers)-eventsPerRound)
		for _, p := range peers[n:] {
			s.Ready(reactor.Key{Slot: p.slot, Gen: p.gen}, reactor.In)
		}
		peers = peers[:n]
	}
	for s.Turn() {
	}
	if n := s.stats.closes[CloseTimeout]; n != 0 {
		t.Errorf("%d of %d clients were closed that had sent their pong", n, owed)
	}
}
