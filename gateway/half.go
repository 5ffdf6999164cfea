package gateway

import "github.com/pushgate/pushgate/gateway/internal/reasons"

// A client may close its side of the connection after its request and read on, as nc -N does, and
// HAProxy in TCP mode for such a client. One that has closed the connection for good looks the same
// until it receives bytes: its kernel responds with a reset. So a client with a pending response
// gets the first bytes of it when it closes its side, an event stream a comment, and is kept unless
// they are reset.

// answerLead is the start of every response.
const answerLead = "HTTP/1.1 "

// owed reports whether a client is still to get a response.
func (s *shard) owed(i uint32, c *client) bool {
	switch c.phase {
	case phaseBody:
		return s.polls.At(c.poll).body.Done()
	case phaseOpen:
		return !c.framed()
	case phaseHead, phaseClosed:
		return s.conns.Queued(i) && !c.framed()
	}
	return false
}

// HalfClosed handles the end of the client's side. One that is owed a response is kept; its last
// response ends the connection.
func (s *shard) HalfClosed(i uint32) {
	c := s.client(i)
	if !s.owed(i, c) {
		s.conns.Release(i, leftFor(c))
		return
	}
	if c.in == 0 { // no request is behind this one
		c.flags |= flagClose
	}
	if !s.conns.HalfClose(i) || c.phase != phaseOpen {
		return
	}
	if c.kind == kindEvents {
		s.conns.SendBytes(i, eventHeartbeatText)
		return
	}
	c.flags |= flagLed
	s.conns.SendBytes(i, []byte(answerLead))
}

// leftFor returns why a connection is closed whose client has left.
func leftFor(c *client) reasons.Close {
	switch {
	case c.phase == phaseBody, c.phase == phaseHead && c.in != 0:
		return reasons.CloseUnreadable
	case c.framed() && c.in != 0:
		return reasons.CloseReset
	}
	return reasons.CloseByClient
}

// behindLead returns the rest of a response after an answerLead that was sent. The pieces may be
// shared with other polls, so they aren't changed.
func behindLead(c *client, response [][]byte) [][]byte {
	if c.flags&flagLed == 0 {
		return response
	}
	return append([][]byte{response[0][len(answerLead):]}, response[1:]...)
}

// endHalf closes a connection that can get no further request, once all responses are sent.
func (s *shard) endHalf(i uint32, c *client) {
	if s.conns.IsHalf(i) && c.phase == phaseHead && !s.conns.Queued(i) {
		s.conns.SetDeadline(i, s.conns.Now()+1)
	}
}
