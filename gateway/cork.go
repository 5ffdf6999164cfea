package gateway

// cork gathers what is sent to one connection into one write: the answer to a
// handshake, the welcome and the confirmed channels are one write of 5 us where
// they would be three.
type cork struct {
	slot  uint32 // of the connection, 0 = none
	bytes []byte
}

// corkIt begins to gather what is sent to the connection. Nothing that waits
// for anything may happen before uncork.
func (s *shard) corkIt(i uint32) {
	s.cork.slot, s.cork.bytes = i, s.cork.bytes[:0]
}

// uncork sends what was gathered for the connection, if anything was.
func (s *shard) uncork(i uint32, c *conn) {
	if s.cork.slot != i {
		return
	}
	s.cork.slot = 0
	if len(s.cork.bytes) > 0 {
		s.sendCopy(i, c, s.cork.bytes)
	}
}
