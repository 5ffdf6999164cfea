package gateway

import "github.com/pushgate/pushgate/internal/reactor"

// A client may send requests ahead of the answers that it reads. Up to
// maxPipelined bytes of them are kept; then no more is read from it until it has
// its answer, so that TCP slows it down as it would with a server that takes one
// request after the other. One that never reads its answer ends by the time for
// its next request.

// maxPipelined is how much a client may send ahead before it is paused.
const maxPipelined = 16 << 10

// sentAhead keeps what a client sends before it has the answer to its last request.
func (s *shard) sentAhead(i uint32, c *conn, p []byte) {
	s.takeInput(i, c, p, maxPipelined)
	s.pauseAhead(i, c)
}

// pauseAhead stops reading from a client that has sent enough ahead.
func (s *shard) pauseAhead(i uint32, c *conn) {
	if c.in == 0 {
		return
	}
	in := s.inputs.At(c.in)
	if in.paused || len(in.buf) < maxPipelined {
		return
	}
	in.paused = true
	s.watchOut(i, c, c.out != 0)
}

// resumeReading reads from a client again that is paused no longer.
func (s *shard) resumeReading(i uint32, c *conn) {
	if err := s.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, s.interest(c, c.out != 0)); err != nil {
		s.log.Error("cannot watch a socket", "err", err) // its deadline ends it
	}
}

// isPaused reports whether nothing is read from the connection for now.
func (s *shard) isPaused(c *conn) bool {
	return c.flags&flagTask != 0 && c.kind == kindWebSocket || c.in != 0 && s.inputs.At(c.in).paused
}

// interest returns the events that a connection waits for; out says that it has
// something to send.
func (s *shard) interest(c *conn, out bool) reactor.Events {
	ev := reactor.In
	switch {
	case s.isPaused(c), c.flags&flagDemoted != 0:
		ev = reactor.Half // closed on both sides, or failed
	case c.flags&flagHalf != 0:
		ev = reactor.Half
	}
	switch {
	case out && c.kind == kindEcho:
		ev = reactor.Out // what is read would only be queued as well
	case out:
		ev |= reactor.Out
	}
	return ev
}
