package gateway

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// refuse responds to a request with an error and closes its connection: further requests on it
// can't be trusted, or aren't wanted. line is an additional header line without its end, or nil.
func (s *shard) refuse(i uint32, c *client, reason reasons.Reject, err *http1.Error, line []byte) {
	s.stats.rejects[reason]++
	s.traceRefused(i, c, err, s.request.Origin)
	o := s.connOptions(i, c)
	o.NoBody = string(s.request.Method) == "HEAD"
	if line != nil {
		o.Lines = append(append(o.Lines, line...), '\r', '\n')
	}
	if isTemporary(err) && wantsEvents(&s.request) {
		s.conns.Finish(i, reasons.CloseRejected, s.appendLater(nil, reason, err, o))
		return
	}
	s.conns.Finish(i, reasons.CloseRejected, err.Append(nil, o))
}

// malformed refuses bytes that are not an HTTP request.
func (s *shard) malformed(i uint32, c *client, err *http1.Error) {
	reason := reasons.RejectBadRequest
	switch err.Status {
	case 413:
		reason = reasons.RejectMessageSize
	case 431:
		reason = reasons.RejectHeadTooLong
	}
	s.refuse(i, c, reason, err, nil)
}

// An EventSource reconnects when its stream ends, but never after a status other than 200 (HTML
// standard, 9.2.3). So it gets a temporary rejection as a stream: the reconnect delay, a bye with
// the reason, and the end. A client that looks at the status gets one, unless it asks for an event
// stream by name, as every EventSource does.

// isTemporary reports whether the same request may succeed later.
func isTemporary(err *http1.Error) bool { return err.Status == 503 || err.Status == 429 }

// wantsEvents reports whether the request is an EventSource's.
func wantsEvents(r *http1.Request) bool {
	return string(r.Path) == "/v1/sse" && string(r.Method) == "GET" &&
		bytes.Contains(bytes.ToLower(r.Header("Accept")), []byte("text/event-stream"))
}

// appendLater appends the stream that rejects an EventSource temporarily, with the options of its
// connection.
func (s *shard) appendLater(dst []byte, reason reasons.Reject, err *http1.Error, o http1.Options) []byte {
	o.ContentType, o.Lines = eventStream, []byte(eventLines)
	after := s.laterMS(reason)
	dst = appendRetry(http1.AppendStream(dst, 200, o), after)
	return appendEvent(dst, reply{Type: "bye", Reason: err.Code, Message: err.Message, ReconnectAfterMS: after})
}

// laterMS returns the random reconnect delay of a rejected client, with the bounds of Retry-After,
// in milliseconds.
func (s *shard) laterMS(reason reasons.Reject) int64 {
	least, most := time.Second, retrySeconds*time.Second
	if reason == reasons.RejectDraining {
		least, most = 0, s.cfg.Drain.Reconnect
	}
	return 1 + least.Milliseconds() + rand.Int64N(max(1, (most-least).Milliseconds()))
}

// overLimit holds the error for each limit.
var overLimit = map[reasons.Reject]*http1.Error{
	reasons.RejectConnections:   {Status: 503, Code: "too_many_connections", Message: "this gateway holds as many connections as it may"},
	reasons.RejectAddress:       {Status: 503, Code: "too_many_from_address", Message: "your address holds as many connections as it may"},
	reasons.RejectAcceptRate:    {Status: 503, Code: "too_many_connects", Message: "too many clients connect at this moment"},
	reasons.RejectHandshakeRate: {Status: 503, Code: "too_many_handshakes", Message: "too many clients connect at this moment"},
	reasons.RejectMessageRate:   {Status: 429, Code: codeRateLimited, Message: "too many requests on this connection"},
	reasons.RejectChannelRate:   {Status: 429, Code: codeRateLimited, Message: "too many new channels: this one, or these, were not subscribed to"},
	reasons.RejectSubscriptions: {Status: 503, Code: codeTooManyChannels, Message: "this gateway holds as many subscriptions as it may"},
	reasons.RejectTotalChannels: {Status: 503, Code: codeTooManyChannels, Message: "this gateway holds as many channels as it may"},
	reasons.RejectPublishRate:   {Status: 429, Code: codeRateLimited, Message: "too many messages are published"},
	reasons.RejectTotalInput:    {Status: 503, Code: codeOverloaded, Message: "unfinished requests of all clients take too much memory"},
	reasons.RejectKeyPending:    {Status: 503, Code: codeKeyPending, Message: "the key of this token is not known yet"},
}

// retryAfter returns a Retry-After line, without its end, that spreads the retries of rejected
// clients.
func (s *shard) retryAfter() []byte {
	s.retry++
	return appendRetryAfter(nil, 1+int(s.retry%retrySeconds))
}

// retryElsewhere is retryAfter within drain.reconnect, for clients of a gateway that is shutting
// down. The header counts whole seconds, from one on.
func (s *shard) retryElsewhere() []byte {
	s.retry++
	most := max(1, uint32(s.cfg.Drain.Reconnect.Seconds()))
	return appendRetryAfter(nil, 1+int(s.retry%most))
}

func appendRetryAfter(dst []byte, seconds int) []byte {
	return strconv.AppendInt(append(dst, "Retry-After: "...), int64(seconds), 10)
}

// Decline returns the response to a client that is rejected for reason before it is a connection. A
// health check and a preflight are served all the same.
func (s *shard) Decline(data []byte, reason reasons.Reject, must bool) (answer []byte, served bool) {
	r, o := &s.request, http1.Options{Close: true, Date: s.date}
	n, err := r.Parse(data, s.cfg.Limits.HeadBytes)
	if n == 0 && err == nil && !must {
		return nil, false
	}
	if n > 0 && err == nil {
		o.NoBody = string(r.Method) == "HEAD"
		o.AllowOrigin = s.pageOf(r.Origin, r.Host)
		if resolve(r); isHealth(r.Path) {
			status, body, health := s.healthOf(r.Path)
			o.ContentType = health.ContentType
			return http1.AppendResponse(s.scratch[:0], status, body, o), true
		}
	} else {
		o.AllowOrigin = s.pageIn(data)
	}
	if o.AllowOrigin != "" && isPreflight(data) {
		o.Lines = appendPreflight(nil, data)
		return http1.AppendResponse(s.scratch[:0], 204, nil, o), true
	}
	s.stats.rejects[reason]++
	if n > 0 && err == nil && wantsEvents(r) {
		return s.appendLater(s.scratch[:0], reason, overLimit[reason], o), false
	}
	s.retry++
	var line [32]byte
	o.Lines = append(appendRetryAfter(line[:0], 1+int(s.retry%retrySeconds)), "\r\n"...)
	return overLimit[reason].Append(s.scratch[:0], o), false
}

// retrySeconds is the period over which the retries of rejected clients are spread.
const retrySeconds = 10

// refuseOver refuses a request over a limit.
func (s *shard) refuseOver(i uint32, c *client, reason reasons.Reject) {
	s.refuse(i, c, reason, overLimit[reason], s.retryAfter())
}
