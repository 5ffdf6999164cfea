package httpconn

import "github.com/pushgate/pushgate/gateway/internal/reasons"

// A client may close its side of the connection after its request and read on, as nc -N does, and
// HAProxy in TCP mode for such a client. One that has closed the connection for good looks the same
// until it receives bytes: its kernel responds with a reset. So a client with a pending response
// gets the first bytes of it when it closes its side, an event stream a comment, and is kept unless
// they are reset.

// responseLead is the start of every response.
const responseLead = "HTTP/1.1 "

// Lead sends the start of the response that a client waits for.
func (h *Server) Lead(i uint32) {
	h.at(i).flags |= flagLed
	h.conns.Out.SendBytes(i, []byte(responseLead))
}

// behindLead returns the rest of a response whose lead was sent. The pieces may be shared with other
// connections, so they aren't changed.
func behindLead(e *exchange, response [][]byte) [][]byte {
	if e.flags&flagLed == 0 {
		return response
	}
	return append([][]byte{response[0][len(responseLead):]}, response[1:]...)
}

// owed reports whether a client is still to get a response.
func (h *Server) owed(i uint32, e *exchange) bool {
	switch e.phase {
	case phaseServing, phaseStreaming:
		return true
	case phaseHead, phaseClosed:
		return h.conns.Out.Queued(i) && e.flags&flagUpgraded == 0
	}
	return false
}

// HalfClosed handles the end of the client's side. One that is owed a response is kept; its last
// response ends the connection.
func (h *Events) HalfClosed(i uint32) {
	e := h.server.at(i)
	if !h.server.owed(i, e) {
		h.server.conns.Release(i, h.server.leftFor(i, e))
		return
	}
	if !h.server.conns.Input.IsKeeping(i) { // no request is behind this one
		e.flags |= flagClose
	}
	if h.server.conns.Reading.HalfClose(i) && (e.phase == phaseServing || e.phase == phaseStreaming) {
		h.server.above.HalfClosed(i)
	}
}

// leftFor returns why a connection is closed whose client has left.
func (h *Server) leftFor(i uint32, e *exchange) reasons.Close {
	switch {
	case e.phase == phaseBody, e.phase == phaseHead && h.conns.Input.IsKeeping(i):
		return reasons.CloseUnreadable
	case e.phase == phaseUpgraded && h.conns.Input.IsKeeping(i):
		return reasons.CloseReset
	}
	return reasons.CloseByClient
}

// endHalf closes a connection that can get no further request, once all responses are sent.
func (h *Server) endHalf(i uint32) {
	if h.conns.Reading.IsHalf(i) && h.at(i).phase == phaseHead && !h.conns.Out.Queued(i) {
		h.conns.Clock.Set(i, h.conns.Clock.Now()+1)
	}
}
