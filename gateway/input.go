package gateway

import (
	"slices"
	"unsafe"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// input holds a client's bytes between reads: the start of a request head, of a body, or of a
// WebSocket message, or pipelined requests. Few connections have one at a time.
type input struct {
	buf    []byte         // bytes of the head, or of the body or the message so far
	frame  wsframe.Reader // amid a message
	begun  bool           // a part of the message is echoed already
	paused bool           // reading is paused until the client has its response
	parsed int            // bytes parsed without completing the head

	// For limits.total_input_bytes

	owner uint32 // slot
	since uint32 // tick of its first bytes
	held  int    // bytes counted
}

// inputBytes is the memory of an input besides its buffer, with its table entry and the poll that
// decodes a body.
const inputBytes = int(unsafe.Sizeof(input{}) + unsafe.Sizeof(poll{}) + 2*unsafe.Sizeof(uintptr(0)))

const (
	// maxIdleInput is the largest buffer that a freed input keeps for its next owner.
	maxIdleInput = 4 << 10
	// maxIdleInputs is the number of freed inputs of a shard that keep theirs.
	maxIdleInputs = 64
)

// inputOf returns the connection's input, a new one where it has none.
func (s *shard) inputOf(i uint32, c *client) *input {
	if c.in == 0 {
		var in *input
		c.in, in = s.inputs.Take()
		in.owner, in.since = i, s.conns.Now()
		s.countInput(in)
	}
	return s.inputs.At(c.in)
}

// takeInput appends data to the connection's input, which holds up to most bytes, unless data alone
// is more.
func (s *shard) takeInput(i uint32, c *client, data []byte, most int) *input {
	in := s.inputOf(i, c)
	in.buf = appendTight(in.buf, data, most)
	s.countInput(in)
	return in
}

// appendTight appends data to buf and grows its capacity by about a fifth: a doubling buffer takes
// twice its content. Beyond most it grows no further than needed.
func appendTight(buf, data []byte, most int) []byte {
	need := len(buf) + len(data)
	if need <= cap(buf) {
		return append(buf, data...)
	}
	grown := slices.Grow([]byte(nil), max(need, min(need+need/5, most)))
	return append(append(grown, buf...), data...)
}

// countInput updates the accounting after the input's buffer has changed.
func (s *shard) countInput(in *input) {
	n := inputBytes + cap(in.buf)
	s.holdInput(n - in.held)
	in.held = n
}

// holdInput adds n bytes, which may be negative, to the kept input.
func (s *shard) holdInput(n int) {
	if n != 0 {
		s.inputBytes += int64(n)
		s.srv.inputBytes.Add(int64(n))
	}
}

// freeInput frees the connection's input, and resumes reading if the client was paused.
func (s *shard) freeInput(c *client) {
	if c.in == 0 {
		return
	}
	in := s.inputs.At(c.in)
	if in.paused {
		in.paused = false
		s.conns.Resume(in.owner)
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

// detach frees the connection's input but leaves its buffer to the caller, which is still parsing
// it.
func (s *shard) detach(c *client) {
	if c.in != 0 {
		s.inputs.At(c.in).buf = nil
		s.freeInput(c)
	}
}

// keep stores the bytes of an incomplete head, or of one that has to wait. data is the input's own
// buffer, or there is no input.
func (s *shard) keep(i uint32, c *client, data []byte) {
	switch {
	case len(data) == 0:
		s.freeInput(c)
	case c.in == 0:
		s.takeInput(i, c, data, s.cfg.Limits.HeadBytes)
	}
}

// A client may pipeline requests. Up to maxPipelined bytes of them are kept; then reading stops
// until it has its response, so that TCP slows it down as with a server that takes one request
// after the other. A client that never reads its response is closed at the deadline for its next
// request.

// maxPipelined is how much a client may pipeline before it is paused.
const maxPipelined = 16 << 10

// sentAhead keeps a client's pipelined bytes until its last request has a response.
func (s *shard) sentAhead(i uint32, c *client, p []byte) {
	s.takeInput(i, c, p, maxPipelined)
	s.pauseAhead(i, c)
}

// pauseAhead stops reading from a client that has pipelined enough.
func (s *shard) pauseAhead(i uint32, c *client) {
	if c.in == 0 {
		return
	}
	in := s.inputs.At(c.in)
	if in.paused || len(in.buf) < maxPipelined {
		return
	}
	in.paused = true
	s.conns.Pause(i)
}
