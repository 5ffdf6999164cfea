package gateway

import (
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A client that has caught up with more than 4 MiB waits for its next page, one with less doesn't.
// A connection's rate ends with it.
func TestCatchUpsHaveAPace(t *testing.T) {
	s := newStill(t, nil)
	eager, calm := s.openWebSocket(), s.openWebSocket()
	mib := []*message.Message{message.New("c", message.Position{Ms: 1}, 1, make([]byte, 1<<20))}
	for range 6 {
		s.charge(eager.slot, mib)
	}
	s.charge(calm.slot, mib)
	if s.paced(eager.slot) || !s.paced(calm.slot) {
		t.Errorf("after 6 MiB: %v, after 1 MiB: %v", s.paced(eager.slot), s.paced(calm.slot))
	}
	for range 100 {
		s.charge(eager.slot, mib)
	}
	if ahead := s.paces.At(eager.slot).Ahead(s.uptime(), 2*mostDebt); ahead > mostDebt {
		t.Errorf("it is to wait for %v", ahead)
	}
	s.conns.Release(eager.slot, reasons.CloseReset)
	s.conns.Reap()
	if !s.paced(eager.slot) {
		t.Error("the next client in its slot waits too")
	}
}
