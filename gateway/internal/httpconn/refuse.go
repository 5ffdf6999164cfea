package httpconn

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Refusals are the errors that requests get, and their counts.
type Refusals struct {
	server  *Server
	retry   uint32 // spreads Retry-After
	rejects map[reasons.Reject]uint64
	scratch []byte // for small responses
}

// Request responds to a request with an error and closes its connection: further requests on it
// can't be trusted, or aren't wanted. line is an additional header line without its end, or nil.
func (h *Refusals) Request(i uint32, reason reasons.Reject, err *http1.Error, line []byte) {
	h.Count(reason)
	h.traceRefused(i, err, h.server.request.Origin)
	o := h.server.OptionsOf(i)
	o.NoBody = string(h.server.request.Method) == "HEAD"
	if line != nil {
		o.Lines = append(append(o.Lines, line...), '\r', '\n')
	}
	if response, ok := h.later(nil, h.server.router.routes[string(h.server.request.Path)], reason, err, o); ok {
		h.server.conns.Finish(i, reasons.CloseRejected, response)
		return
	}
	h.server.conns.Finish(i, reasons.CloseRejected, err.Append(nil, o))
}

// Over refuses a request over a limit.
func (h *Refusals) Over(i uint32, reason reasons.Reject) {
	h.Request(i, reason, reasons.OverLimit[reason], h.retryAfter())
}

// malformed refuses bytes that are not an HTTP request.
func (h *Refusals) malformed(i uint32, err *http1.Error) {
	reason := reasons.RejectBadRequest
	switch err.Status {
	case 413:
		reason = reasons.RejectMessageSize
	case 431:
		reason = reasons.RejectHeadTooLong
	}
	h.Request(i, reason, err, nil)
}

// Challenge is a header line of each 401 (RFC 6750, 3).
const Challenge = "WWW-Authenticate: Bearer"

// Body responds with an error to a request whose body was read, so the connection can be
// kept.
func (h *Refusals) Body(i uint32, err *http1.Error) {
	h.traceRefused(i, err, nil)
	o := h.server.OptionsOf(i)
	switch err.Status {
	case 400:
		h.Count(reasons.RejectBadRequest)
	case 401:
		h.Count(reasons.RejectToken)
		o.Lines = append(o.Lines, Challenge+"\r\n"...)
	case 403:
		h.Count(reasons.RejectForbidden)
	case 429, 503: // counted by the caller
		o.Lines = append(append(o.Lines, h.retryAfter()...), "\r\n"...)
	}
	h.server.Respond(i, http1.AppendError(nil, err.Status, err.Code, err.Message, o))
}

// Dismiss closes a connection that waits for its response, with an error.
func (h *Refusals) Dismiss(i uint32, reason reasons.Close, err *http1.Error) {
	h.server.CloseAfter(i)
	o := h.server.OptionsOf(i)
	o.Lines = append(h.retryAfter(), "\r\n"...)
	h.server.conns.Finish(i, reason, behindLead(h.server.at(i), [][]byte{err.Append(nil, o)})...)
}

// Decline returns the response to a client that is rejected for reason before it has a connection.
// A health check and a preflight are served all the same.
func (h *Events) Decline(data []byte, reason reasons.Reject, must bool) (response []byte, served bool) {
	response, served = h.decline(data, reason, must)
	if response != nil {
		h.server.Refuse.scratch = response
	}
	return response, served
}

func (h *Events) decline(data []byte, reason reasons.Reject, must bool) (response []byte, served bool) {
	r, o := &h.server.request, http1.Options{Close: true, Date: h.server.date}
	n, err := r.Parse(data, h.server.options.HeadBytes)
	if n == 0 && err == nil && !must {
		return nil, false
	}
	var to *Route
	if n > 0 && err == nil {
		o.NoBody = string(r.Method) == "HEAD"
		o.AllowOrigin = h.server.cors.pageOf(r.Origin, r.Host)
		if to = h.server.router.resolve(r); to != nil && to.health {
			status, body, health := h.server.router.health(r.Path)
			o.ContentType = health.ContentType
			return http1.AppendResponse(h.server.Refuse.scratch[:0], status, body, o), true
		}
	} else {
		o.AllowOrigin = h.server.cors.pageIn(data)
	}
	if o.AllowOrigin != "" && isPreflight(data) {
		o.Lines = appendPreflight(nil, data)
		return http1.AppendResponse(h.server.Refuse.scratch[:0], 204, nil, o), true
	}
	h.server.Refuse.Count(reason)
	if response, ok := h.server.Refuse.later(h.server.Refuse.scratch[:0], to, reason, reasons.OverLimit[reason], o); ok {
		return response, false
	}
	o.Lines = append(h.server.Refuse.retryAfter(), "\r\n"...)
	return reasons.OverLimit[reason].Append(h.server.Refuse.scratch[:0], o), false
}

// RetrySeconds is the period over which the retries of rejected clients are spread.
const RetrySeconds = 10

// later appends the route's own response to a request that may succeed later, if it has one.
func (h *Refusals) later(dst []byte, to *Route, reason reasons.Reject, err *http1.Error, o http1.Options) ([]byte, bool) {
	if to == nil || to.Later == nil || err.Status != 503 && err.Status != 429 {
		return nil, false
	}
	least, most := time.Second, RetrySeconds*time.Second
	if reason == reasons.RejectDraining {
		least, most = 0, h.server.options.Reconnect
	}
	after := 1 + least.Milliseconds() + rand.Int64N(max(1, (most-least).Milliseconds()))
	return to.Later(dst, &h.server.request, err, after, o)
}

// retryAfter returns a Retry-After line, without its end, that spreads the retries of rejected
// clients.
func (h *Refusals) retryAfter() []byte {
	h.retry++
	return appendRetryAfter(nil, 1+int(h.retry%RetrySeconds))
}

// retryElsewhere is retryAfter for clients of a gateway that is shutting down. The header counts
// whole seconds, from one on.
func (h *Refusals) retryElsewhere() []byte {
	h.retry++
	most := max(1, uint32(h.server.options.Reconnect.Seconds()))
	return appendRetryAfter(nil, 1+int(h.retry%most))
}

func appendRetryAfter(dst []byte, seconds int) []byte {
	return strconv.AppendInt(append(dst, "Retry-After: "...), int64(seconds), 10)
}

// Counts returns the counters of refused requests, which the loop owns.
func (h *Refusals) Counts() map[reasons.Reject]uint64 { return h.rejects }

// Count counts a refused request.
func (h *Refusals) Count(reason reasons.Reject) { h.rejects[reason]++ }

// traceRefused logs a refused request. origin is the requesting page's, if known.
func (h *Refusals) traceRefused(i uint32, err *http1.Error, origin []byte) {
	if h.server.log.Enabled(context.Background(), slog.LevelDebug) {
		h.server.log.Debug("refused", "status", err.Status, "code", err.Code, "message", err.Message, "origin", string(origin),
			"connection", h.server.conns.ID(i), "address", h.server.conns.Addrs.Of(i))
	}
}
