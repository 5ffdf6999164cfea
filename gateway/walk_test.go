package gateway

import (
	"testing"

	"github.com/pushgate/pushgate/gateway/admin"
)

// A walk over many connections gives other work its turn.
func TestWalkIsCutIntoSlices(t *testing.T) {
	const many = 200_000
	s := newStill(t, nil)
	for range many {
		s.conns.AddWithoutSocket()
	}
	next := s.walk(1, &admin.ConnectionFilter{}, func(i uint32) bool {
		s.describe(i)
		return true
	})
	if next == 0 || next > many {
		t.Errorf("a slice ends at slot %d of %d", next, many)
	}
	s.conns.Slots.Forget()
}
