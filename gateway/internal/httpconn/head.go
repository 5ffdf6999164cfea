package httpconn

import (
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// head takes bytes of request heads. Once one is complete it is routed; until then, and while an
// earlier response waits for the client to read, they are kept.
func (h *Server) head(i uint32, e *exchange, data []byte) {
	fresh, parsed := len(data), h.conns.Input.Seen(i)
	if h.conns.Input.IsKeeping(i) {
		data = h.conns.Input.Keep(i, data, h.options.HeadBytes)
	}
	for e.phase == phaseHead {
		if h.conns.Out.Queued(i) {
			h.keep(i, data)
			if len(data) >= MaxPipelined {
				h.conns.Input.Suspend(i)
			}
			return
		}
		if parsed > 0 && !http1.Worth(data, fresh, parsed, h.options.HeadBytes) {
			return
		}
		n, err := h.request.Parse(data, h.options.HeadBytes)
		if err != nil {
			page := h.cors.pageIn(data)
			h.cors.setPage(i, e, page)
			if page != "" && isPreflight(data) {
				e.flags |= flagClose
				h.preflight(i, e, data)
				return
			}
			h.Refuse.malformed(i, err.(*http1.Error))
			return
		}
		if n == 0 {
			if parsed == 0 && len(data) > 0 {
				h.shortenDeadline(i)
			}
			h.keep(i, data)
			h.conns.Input.See(i, len(data))
			return
		}
		h.conns.Input.Detach(i)
		parsed = 0
		data = h.router.route(i, e, data[n:])
	}
	h.follow(i, e, data)
}

// follow processes the bytes behind a request.
func (h *Server) follow(i uint32, e *exchange, data []byte) {
	switch {
	case len(data) == 0:
	case e.phase == phaseHead:
		h.head(i, e, data)
	case e.phase == phaseBody, e.phase == phaseServing:
		h.conns.Input.KeepUpTo(i, data, MaxPipelined)
	}
}

// shortenDeadline shortens the deadline of a kept connection, once a request has begun, from the idle timeout
// to the head timeout.
func (h *Server) shortenDeadline(i uint32) {
	h.conns.Clock.Forward(i, h.conns.Clock.Now()+conn.Ticks(h.options.HeadTimeout))
}

// keep keeps data, the bytes of a head that is incomplete or has to wait, unless they are kept
// already.
func (h *Server) keep(i uint32, data []byte) {
	switch {
	case len(data) == 0:
		h.conns.Input.Free(i)
	case !h.conns.Input.IsKeeping(i):
		h.conns.Input.Keep(i, data, h.options.HeadBytes)
	}
}

// A client may pipeline requests. Up to MaxPipelined bytes of them are kept; then reading is
// suspended until it has its response, as with a server that takes one request after the other. A
// client that never reads its response is closed at the deadline for its next request.

// MaxPipelined is how much a client may pipeline before that.
const MaxPipelined = 16 << 10

var (
	errHeadTimeout = &http1.Error{Status: 408, Code: "head_timeout", Message: "the request head did not arrive in time"}
	errBodyTimeout = &http1.Error{Status: 408, Code: "body_timeout", Message: "the request body did not arrive in time"}
)

// headTimeout closes a connection whose next request took too long. An idle connection, or one that
// never sent anything, gets no error.
func (h *Server) headTimeout(i uint32, e *exchange) {
	h.request = http1.Request{}
	switch {
	case e.flags&flagOver != 0:
		h.Refuse.Over(i, reasons.RejectAddress)
	case h.conns.Input.IsKeeping(i) && h.conns.Out.Queued(i):
		h.conns.Release(i, reasons.CloseSlow) // it doesn't read its response
	case e.phase == phaseBody:
		h.Refuse.Request(i, reasons.RejectHeadTimeout, errBodyTimeout, nil)
	case !h.conns.Input.IsKeeping(i):
		h.Refuse.Count(reasons.RejectHeadTimeout)
		h.conns.Release(i, reasons.CloseRejected)
	default:
		h.cors.setPage(i, e, h.cors.pageIn(h.conns.Input.Kept(i)))
		h.Refuse.Request(i, reasons.RejectHeadTimeout, errHeadTimeout, nil)
	}
}
