package gateway

import (
	"slices"
	"unsafe"

	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// input is what is kept of a client's bytes between reads: the start of a
// request head, or of a body, or of a WebSocket message, or what was sent ahead of
// an answer. Few connections have one at a time.
type input struct {
	buf    []byte         // bytes of the head, or of the body or the message so far
	frame  wsframe.Reader // amid a message
	begun  bool           // of the message, a part is echoed already
	paused bool           // no more is read before the client has its answer
	parsed int            // bytes of the head that were looked at and aren't a whole one

	// For limits.total_input_bytes

	owner uint32 // slot
	since uint32 // tick of its first bytes
	held  int    // bytes that are counted
}

// inputBytes is what an input takes beside its buffer, with its place in the table
// and the poll that decodes a body.
const inputBytes = int(unsafe.Sizeof(input{}) + unsafe.Sizeof(poll{}) + 2*unsafe.Sizeof(uintptr(0)))

const (
	// maxIdleInput is the buffer size that a freed input keeps for its next owner.
	maxIdleInput = 4 << 10
	// maxIdleInputs is how many freed inputs of a shard keep theirs.
	maxIdleInputs = 64
)

// inputOf returns the connection's input, a new one where it has none.
func (s *shard) inputOf(i uint32, c *conn) *input {
	if c.in == 0 {
		var in *input
		c.in, in = s.inputs.Take()
		in.owner, in.since = i, s.now
		s.countInput(in)
	}
	return s.inputs.At(c.in)
}

// takeInput appends data to the connection's input, which is to hold most bytes at
// most, unless data alone is more.
func (s *shard) takeInput(i uint32, c *conn, data []byte, most int) *input {
	in := s.inputOf(i, c)
	in.buf = appendTight(in.buf, data, most)
	s.countInput(in)
	return in
}

// appendTight appends data to buf, whose capacity grows by a fifth or so: a buffer
// that doubles takes twice what is in it. Beyond most it grows no further than needed.
func appendTight(buf, data []byte, most int) []byte {
	need := len(buf) + len(data)
	if need <= cap(buf) {
		return append(buf, data...)
	}
	grown := slices.Grow([]byte(nil), max(need, min(need+need/5, most)))
	return append(append(grown, buf...), data...)
}

// countInput counts what an input takes since its buffer has changed.
func (s *shard) countInput(in *input) {
	n := inputBytes + cap(in.buf)
	s.holdInput(n - in.held)
	in.held = n
}

// holdInput counts n bytes more, or fewer, that are kept of what clients sent.
func (s *shard) holdInput(n int) {
	if n != 0 {
		s.inputBytes += int64(n)
		s.srv.inputBytes.Add(int64(n))
	}
}

// freeInput forgets what is kept, and reads on where the client was paused.
func (s *shard) freeInput(c *conn) {
	if c.in == 0 {
		return
	}
	in := s.inputs.At(c.in)
	if in.paused {
		in.paused = false
		s.resumeReading(in.owner, c)
	}
	buf := in.buf[:0]
	if cap(buf) > maxIdleInput || s.inputs.Idle() >= maxIdleInputs {
		buf = nil
	}
	s.holdInput(-in.held)
	*in = input{buf: buf}
	s.inputs.Put(c.in)
	c.in = 0
}

// detach frees the connection's input and leaves its buffer to the bytes that
// are being worked on.
func (s *shard) detach(c *conn) {
	if c.in != 0 {
		s.inputs.At(c.in).buf = nil
		s.freeInput(c)
	}
}

// keep holds the bytes of an incomplete head, or of one that has to wait. They are
// the input's own, or there is none.
func (s *shard) keep(i uint32, c *conn, data []byte) {
	switch {
	case len(data) == 0:
		s.freeInput(c)
	case c.in == 0:
		s.takeInput(i, c, data, s.cfg.Limits.HeadBytes)
	}
}

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
