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
		_, c := s.conns.take()
		c.fd, c.phase = -1, phaseHead
	}
	next := s.walk(1, &admin.ConnectionFilter{}, func(i uint32, c *conn) bool {
		s.describe(i, c)
		return true
	})
	if next == 0 || next > many {
		t.Errorf("a slice ends at slot %d of %d", next, many)
	}
	s.conns = slots{}
}
