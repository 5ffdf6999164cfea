package httpconn

import "github.com/pushgate/pushgate/gateway/internal/reasons"

// IsIdle reports whether a connection was kept for a next request, which hasn't begun. A proxy keeps
// such connections for any client.
func (h *Server) IsIdle(i uint32) bool {
	e := h.at(i)
	return e.phase == phaseHead && e.flags&flagKept != 0 && !h.conns.Input.IsKeeping(i)
}

// Drain closes a connection gracefully, unless it is a client's by now: then it returns true, and
// its endpoint is to close it.
func (h *Server) Drain(i uint32, reason reasons.Close) (client bool) {
	e := h.at(i)
	if e.phase == phaseHead || e.phase == phaseBody {
		// A request that has arrived still gets its response, and no client a reset for bytes in
		// flight.
		if !h.conns.Reading.IsHalf(i) {
			h.conns.Reading.Now(i)
		}
	}
	switch e.phase {
	case phaseHead, phaseBody:
		h.conns.Finish(i, reason, nil)
		return false
	case phaseClosed:
		h.conns.Clock.Forward(i, h.conns.LingerEnd())
		return false
	}
	return true
}
