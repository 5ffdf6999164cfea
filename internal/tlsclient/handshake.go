package tlsclient

import (
	"bytes"
	"io"
	"iter"

	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// handshake is one that is in progress, as a coroutine of the loop: its time is the loop's. It is
// the Wire of tlsrecord's Handshake.
type handshake struct {
	next  func() (struct{}, bool) // goes on until more must be received, or to the end
	stop  func()                  // gives up
	yield func(struct{}) bool     // back to the loop; false: to give up

	in, out []byte // received, to be sent
	result  tlsrecord.Result
	err     error
}

// Handshake goes on with a connection's handshake by the bytes received, or begins it where none is
// in progress. send is to be sent, also with an error. Once the handshake is done, rest came behind
// it and is for Open.
func (c *Conns) Handshake(slot uint32, received []byte) (send, rest []byte, done bool, err error) {
	h := c.handshakes[slot]
	if h == nil {
		h = c.begin()
		c.handshakes[slot] = h
	}
	h.in = bytes.Clone(received)
	_, more := h.next()
	send, h.out = h.out, nil
	if more {
		return send, nil, false, nil
	}
	delete(c.handshakes, slot)
	if h.err != nil {
		return send, nil, false, h.err
	}
	c.states[slot] = h.result.State
	if h.result.Wide != nil {
		c.wide[slot] = h.result.Wide
	}
	return send, h.result.Rest, true, nil
}

// Handshaking reports whether a connection's handshake is in progress.
func (c *Conns) Handshaking(slot uint32) bool { return c.handshakes[slot] != nil }

func (c *Conns) begin() *handshake {
	h := &handshake{}
	h.next, h.stop = iter.Pull(func(yield func(struct{}) bool) {
		h.yield = yield
		h.result, h.err = tlsrecord.NewHandshake(h, nil).Client(c.config)
	})
	return h
}

// Receive implements tlsrecord.Wire.
func (h *handshake) Receive() ([]byte, error) {
	for len(h.in) == 0 {
		if !h.yield(struct{}{}) {
			return nil, io.EOF
		}
	}
	p := h.in
	h.in = nil
	return p, nil
}

// Send implements tlsrecord.Wire.
func (h *handshake) Send(p []byte) { h.out = append(h.out, p...) }
