package gateway

// A client may end its side of the connection behind its request and read on, as
// nc -N does, and HAProxy in TCP mode for such a client. One that has closed the
// connection for good looks the same until bytes reach it: its kernel answers
// them with a reset. So a client that is owed an answer gets its first bytes at the
// end of its side, an event stream a comment, and stays unless they come back.

// answerLead is how every answer begins.
const answerLead = "HTTP/1.1 "

// owed reports whether a client is still to get something for what it sent.
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

// halfClosed goes on with a client that has ended its side and is owed something.
// Its last answer ends the connection.
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

// behindLead returns what of an answer is still to be sent. Other polls may share
// its pieces.
func behindLead(c *conn, response [][]byte) [][]byte {
	if c.flags&flagLed == 0 {
		return response
	}
	return append([][]byte{response[0][len(answerLead):]}, response[1:]...)
}

// endHalf has a connection end that can get no further request, once all it is
// owed is sent.
func (s *shard) endHalf(i uint32, c *conn) {
	if c.flags&flagHalf != 0 && c.phase == phaseHead && c.out == 0 {
		s.wheel.Set(i, s.now+1)
	}
}
