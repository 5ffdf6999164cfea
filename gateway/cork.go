package gateway

// cork gathers what a client is answered to what was read from it at once. A write
// takes 5 us: the answer to a handshake, the welcome and the confirmed channels would
// be three, and those to what a client may send ahead hundreds.
type cork struct {
	slot    uint32 // of the connection, 0 = none
	bytes   []byte
	history bool // it's what the client asked for in one request, see outgoing
}

// corkBytes is the most that is gathered.
const corkBytes = 16 << 10

// corkIt begins to gather what is sent to the connection. Nothing that waits
// for anything may happen before uncork.
func (s *shard) corkIt(i uint32) {
	s.cork.slot, s.cork.bytes, s.cork.history = i, s.cork.bytes[:0], false
}

// gatherFor takes b where it is for the connection that is corked and there is room. Else
// what was gathered goes first; false: the connection has ended over that.
func (s *shard) gatherFor(i uint32, c *conn, b []byte) (taken, ok bool) {
	if s.cork.slot != i {
		return false, true
	}
	if len(s.cork.bytes)+len(b) <= corkBytes {
		s.cork.bytes = append(s.cork.bytes, b...)
		return true, true
	}
	phase, history := c.phase, s.cork.history
	s.uncork(i, c)
	if c.phase != phase {
		return false, false
	}
	s.corkIt(i)
	s.cork.history = history
	return false, true
}

// uncork sends what was gathered for the connection, if anything was.
func (s *shard) uncork(i uint32, c *conn) {
	if s.cork.slot != i {
		return
	}
	s.cork.slot = 0
	if len(s.cork.bytes) > 0 {
		s.transmit(i, c, outgoing{b: s.cork.bytes, own: true, history: s.cork.history})
	}
}
