package gateway

import "pushgate/internal/wsframe"

// input is what is kept of a client's bytes between reads: the start of a
// request head, or of a WebSocket message. Few connections have one at a time.
type input struct {
	buf   []byte         // bytes of the head, or of the message so far
	frame wsframe.Reader // amid a message
	begun bool           // of the message, a part is echoed already
}

// maxIdleInput is the buffer size that a freed input keeps for its next owner.
const maxIdleInput = 4 << 10

// inputOf returns the connection's input, a new one where it has none.
func (s *shard) inputOf(c *conn) *input {
	if c.in == 0 {
		c.in, _ = s.inputs.take()
	}
	return s.inputs.at(c.in)
}

// freeInput forgets what is kept.
func (s *shard) freeInput(c *conn) {
	if c.in == 0 {
		return
	}
	in := s.inputs.at(c.in)
	buf := in.buf[:0]
	if cap(buf) > maxIdleInput {
		buf = nil
	}
	*in = input{buf: buf}
	s.inputs.put(c.in)
	c.in = 0
}
