package httpconn

import (
	"unsafe"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// BodyTaker gets the body of a request that an endpoint has read.
type BodyTaker interface {
	// TakeBody handles the request with its whole body, valid until it returns.
	TakeBody(i uint32, text []byte)
}

// Bodies are the bodies of requests that are being read.
type Bodies struct {
	server *Server
	bodies slab.ByKey[body]
}

// body is a request's body that is being read.
type body struct {
	http1.Body
	to   BodyTaker
	held bool // counted as input
}

// bodyBytes is the memory of a body that hasn't arrived whole, besides its bytes.
const bodyBytes = int(unsafe.Sizeof(body{})) + slab.EntryBytes

// Read reads the body of the request, as an endpoint's Serve: rest holds the bytes behind its
// head, and those behind its body are returned if it's complete. The request's slices are not valid
// any more when the body arrives.
func (h *Bodies) Read(i uint32, rest []byte, to BodyTaker) (left []byte) {
	parsed, err := h.server.request.Body(int64(h.server.options.BodyBytes))
	if err != nil {
		h.server.Refuse.malformed(i, err.(*http1.Error))
		return nil
	}
	e := h.server.at(i)
	if h.server.request.Expect100 && len(rest) == 0 {
		h.server.conns.Out.SendCopy(i, []byte(http1.Continue))
		if e.phase != phaseHead {
			return nil
		}
	}
	*h.bodies.Take(i) = body{Body: parsed, to: to}
	e.phase = phaseBody
	h.server.conns.Clock.Set(i, h.server.conns.Clock.Now()+conn.Ticks(h.server.options.HeadTimeout))
	return h.readSome(i, e, rest)
}

// body takes bytes of a request's body and of the requests behind it.
func (h *Bodies) body(i uint32, e *exchange, data []byte) {
	h.server.request = http1.Request{} // stale: another connection's
	h.server.follow(i, e, h.readSome(i, e, data))
}

// readSome consumes the body's bytes from data. Once the body is complete it is handed over, and
// the remaining bytes are returned.
func (h *Bodies) readSome(i uint32, e *exchange, data []byte) (left []byte) {
	b := h.bodies.Get(i)
	var text []byte
	for {
		piece, n, done, err := b.Next(data)
		if err != nil {
			h.server.Refuse.malformed(i, err.(*http1.Error))
			return nil
		}
		data = data[n:]
		if done && !h.server.conns.Input.IsKeeping(i) {
			text = piece // whole where it was read
			break
		}
		text = h.server.conns.Input.Keep(i, piece, h.server.options.BodyBytes)
		if done {
			h.server.conns.Input.Detach(i)
			break
		}
		if len(data) == 0 {
			if !b.held {
				b.held = true
				h.server.conns.Input.Hold(i, bodyBytes)
			}
			return nil
		}
	}
	to := b.to
	h.free(i)
	e.phase = phaseServing
	to.TakeBody(i, text)
	return data
}

// free frees the state of a body.
func (h *Bodies) free(i uint32) {
	if b := h.bodies.Get(i); b != nil {
		if b.held {
			h.server.conns.Input.Hold(i, -bodyBytes)
		}
		h.bodies.Free(i)
	}
}
