package gateway

// A client may close its side of the connection after its request and read on, as nc -N does, and
// HAProxy in TCP mode for such a client. One that has closed the connection for good looks the same
// until it receives bytes: its kernel responds with a reset. So a client with a pending response
// gets the first bytes of it when it closes its side, an event stream a comment, and is kept unless
// they are reset.

// answerLead is the start of every response.
const answerLead = "HTTP/1.1 "

// owed reports whether a client is still to get a response.
func (s *shard) owed(c *conn) bool {
	switch c.phase {
	case phaseBody:
		return s.polls.At(c.poll).body.Done()
	case phaseOpen:
		return !c.framed()
	case phaseHead, phaseClosing:
		return c.out != 0 && !c.framed()
	}
	return false
}

// halfClosed keeps a client that has closed its side and is owed a response. Its last response ends
// the connection.
func (s *shard) halfClosed(i uint32, c *conn) {
	c.flags |= flagHalf
	if c.in == 0 { // no request is behind this one
		c.flags |= flagClose
	}
	if !s.watchOut(i, c, c.out != 0) || c.phase != phaseOpen {
		return
	}
	if c.kind == kindEvents {
		s.send(i, c, eventHeartbeatText)
		return
	}
	c.flags |= flagLed
	s.send(i, c, []byte(answerLead))
}

// behindLead returns the rest of a response after an answerLead that was sent. The pieces may be
// shared with other polls, so they aren't changed.
func behindLead(c *conn, response [][]byte) [][]byte {
	if c.flags&flagLed == 0 {
		return response
	}
	return append([][]byte{response[0][len(answerLead):]}, response[1:]...)
}

// endHalf closes a connection that can get no further request, once all responses are sent.
func (s *shard) endHalf(i uint32, c *conn) {
	if c.flags&flagHalf != 0 && c.phase == phaseHead && c.out == 0 {
		s.wheel.Set(i, s.now+1)
	}
}
