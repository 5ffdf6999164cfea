package gateway

import (
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/reactor"
)

// The end of a client's side may be reported again by an earlier event.
func TestEndOfASideIsToldTwice(t *testing.T) {
	s := newStill(t, nil)
	p := s.connect()
	p.send([]byte("GET /v1/sse?channels=c HTTP/1.1\r\nHost: a\r\n\r\n"))
	if err := syscall.Shutdown(p.fd, syscall.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	event := reactor.In | reactor.Events(syscall.EPOLLRDHUP)
	for range 2 {
		s.Ready(reactor.Key{Slot: p.slot, Gen: p.gen}, event)
		if !s.conns.Slots.Find(p.key()) || !s.hub.IsOpen(p.slot) || !s.conns.Reading.IsHalf(p.slot) {
			t.Fatal("it is closed")
		}
	}
	s.Ready(reactor.Key{Slot: p.slot, Gen: p.gen}, reactor.Gone)
	if s.conns.Slots.Find(p.key()) && s.hub.IsOpen(p.slot) {
		t.Error("the client stays when it has gone")
	}
}
