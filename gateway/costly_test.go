package gateway

import (
	"net"
	"syscall"
	"testing"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// A client that takes long once isn't demoted for it: only if it does so again within
// a few seconds.
func TestOnceCostlyIsForgiven(t *testing.T) {
	var d demoted
	one, other := reactor.Key{Slot: 1, Gen: 1}, reactor.Key{Slot: 2, Gen: 1}
	for n, step := range []struct {
		at   uint32
		who  reactor.Key
		want bool
	}{
		{5, one, false}, {6, other, false}, {7, one, true}, {7 + costlyTicks, one, true},
		{8 + 3*costlyTicks, one, false}, {9 + 4*costlyTicks, one, true}, {9 + 6*costlyTicks, one, false},
		{10 + 6*costlyTicks, reactor.Key{Slot: 1, Gen: 2}, false},
	} {
		if got := d.again(step.who, step.at); got != step.want {
			t.Errorf("step %d: %v", n, got)
		}
	}
	for at := range uint32(100) {
		for n := range uint32(10) {
			d.again(reactor.Key{Slot: at, Gen: n}, 1000+at*costlyTicks)
		}
	}
	if n := len(d.lately) + len(d.before); n > 20 {
		t.Errorf("%d clients are remembered", n)
	}
}

// A client's bytes count at its deadline, even if they haven't been read yet.
func TestDemotedClientsAreNotTimedOut(t *testing.T) {
	s := newStill(t, slowBeat)
	p := s.openWebSocket()
	pinged, _ := s.wheel.Due(p.slot)
	s.to(pinged)
	s.conns.at(p.slot).flags |= flagDemoted
	pong := frame(ws.OpPong, "")
	if _, err := syscall.Write(p.fd, pong); err != nil {
		t.Fatal(err)
	}
	s.to(pinged + 20)
	if n := s.stats.closes[reasons.CloseTimeout]; n != 0 {
		t.Errorf("%d clients are closed", n)
	}
	p.receive()
	s.demoted.list = append(s.demoted.list, demotedClient{key: reactor.Key{Slot: p.slot, Gen: p.gen}})
	for s.Turn() {
	}
	p.send(pong)
	var got []byte
	for now := pinged + 21; got == nil && now <= pinged+80; now++ {
		s.to(now)
		got = p.receive()
	}
	if string(got) != string(pingFrame) {
		t.Errorf("got %q in place of the next ping", got)
	}
}

// Connections that wait in the kernel are accepted in each round of the loop, not
// once in all that clients have sent.
func TestWaitingConnectionsAreAccepted(t *testing.T) {
	s := newStill(t, nil)
	const waiting = 3*acceptsPerSlice + 1
	for range waiting {
		c, err := net.Dial("tcp", s.srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	turns, more := 0, true
	for s.accept(); more && turns < 100; turns++ {
		more = s.Turn()
	}
	if s.conns.used < waiting || turns > 10 {
		t.Errorf("%d of %d connections are accepted in %d turns", s.conns.used, waiting, turns)
	}
}
