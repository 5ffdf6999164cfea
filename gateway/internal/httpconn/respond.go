package httpconn

import (
	"encoding/json"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Serving notes that an endpoint responds to the present request later.
func (h *Server) Serving(i uint32) { h.at(i).phase = phaseServing }

// Streaming notes that an endpoint has begun a response without an end.
func (h *Server) Streaming(i uint32) { h.at(i).phase = phaseStreaming }

// Upgraded notes that a connection is a WebSocket from now on.
func (h *Server) Upgraded(i uint32) {
	e := h.at(i)
	e.phase = phaseUpgraded
	e.flags |= flagUpgraded
}

// IsServing reports whether an endpoint is still to respond to a connection's request.
func (h *Server) IsServing(i uint32) bool { return h.at(i).phase == phaseServing }

// CloseAfter has a connection closed after the response.
func (h *Server) CloseAfter(i uint32) { h.at(i).flags |= flagClose }

// Variant is the part of a response's head that depends on the connection, for responses that are
// shared.
type Variant struct {
	flags flags
	page  uint16
}

// VariantOf returns a connection's variant of heads.
func (h *Server) VariantOf(i uint32) Variant {
	e := h.at(i)
	return Variant{e.flags &^ flagKept, h.cors.pages.at(i, e)}
}

// OptionsOf returns the options common to all responses on a connection.
func (h *Server) OptionsOf(i uint32) http1.Options {
	e := h.at(i)
	o := http1.Options{Close: e.flags&flagClose != 0, Date: h.date}
	switch at := h.cors.pages.at(i, e); {
	case at > 0:
		o.AllowOrigin = h.cors.pages.names[at-1]
	case e.flags&flagCORS != 0:
		o.AllowOrigin = http1.AnyOrigin
	}
	return o
}

// Answer sends a response to a request without a body and continues with the connection's next
// request, if it's kept.
func (h *Server) Answer(i uint32, status int, body string, o http1.Options) {
	common := h.OptionsOf(i)
	o.Close, o.Date, o.AllowOrigin = common.Close, common.Date, common.AllowOrigin
	o.NoBody = string(h.request.Method) == "HEAD"
	h.Respond(i, http1.AppendResponse(nil, status, []byte(body), o))
}

// AnswerJSON responds to a request with a body.
func (h *Server) AnswerJSON(i uint32, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always encode
	}
	h.Respond(i, http1.AppendResponse(nil, 200, text, h.OptionsOf(i)))
}

// Respond sends a whole response in one piece or more, and ends the connection or makes it ready
// for the next request.
func (h *Server) Respond(i uint32, response ...[]byte) {
	e := h.at(i)
	if e.phase == phaseClosed {
		return
	}
	response = behindLead(e, response)
	if e.flags&flagClose != 0 {
		h.conns.Finish(i, reasons.CloseAnswered, response...)
		return
	}
	h.above.Responded(i)
	e.phase, e.flags = phaseHead, flagKept
	h.conns.Clock.Set(i, h.conns.Clock.Now()+conn.Ticks(h.options.IdleTimeout))
	h.conns.Out.SendEach(i, response)
	if e.phase == phaseHead && h.conns.Input.IsKeeping(i) && !h.conns.Out.Queued(i) {
		h.head(i, e, nil)
	}
	h.endHalf(i)
}
