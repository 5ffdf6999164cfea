package gateway

import (
	"slices"
	"strings"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// head takes bytes of request heads. Once one is complete it is routed; until
// then, and while an earlier answer waits for the client to read, they are
// kept.
func (s *shard) head(i uint32, c *conn, data []byte) {
	fresh, parsed := len(data), 0
	if c.in != 0 {
		in := s.takeInput(i, c, data, s.cfg.Limits.HeadBytes)
		data, parsed = in.buf, in.parsed
	}
	for c.phase == phaseHead {
		if c.out != 0 {
			s.keep(i, c, data)
			s.pauseAhead(i, c)
			return
		}
		if parsed > 0 && !http1.Worth(data, fresh, parsed, s.cfg.Limits.HeadBytes) {
			return
		}
		n, err := s.request.Parse(data, s.cfg.Limits.HeadBytes)
		if err != nil {
			page := s.pageIn(data)
			s.setPage(i, c, page)
			if page != "" && isPreflight(data) {
				c.flags |= flagClose
				s.preflight(i, c, data)
				return
			}
			s.malformed(i, c, err.(*http1.Error))
			return
		}
		if n == 0 {
			if parsed == 0 && len(data) > 0 {
				s.hurry(i)
			}
			s.keep(i, c, data)
			s.parsed(c, len(data))
			return
		}
		s.detach(c)
		parsed = 0
		data = s.route(i, c, data[n:])
	}
	s.follow(i, c, data)
}

// hurry gives a request that has begun on a kept connection the time for a
// head in place of what is left of the time between requests.
func (s *shard) hurry(i uint32) {
	end := s.now + ticks(s.cfg.Limits.HeadTimeout)
	if due, ok := s.wheel.Due(i); ok && int32(due-end) > 0 {
		s.wheel.Set(i, end)
	}
}

// parsed notes that n bytes of a head are no whole one, and reads on for more.
func (s *shard) parsed(c *conn, n int) {
	if c.in == 0 {
		return
	}
	in := s.inputs.At(c.in)
	in.parsed = n
	if in.paused {
		in.paused = false
		s.resumeReading(in.owner, c)
	}
}

// route answers the request in s.request; rest is what follows its head. It
// returns what of that is left.
func (s *shard) route(i uint32, c *conn, rest []byte) (left []byte) {
	r := &s.request
	if !r.KeepAlive() || s.srv.draining.Load() || c.flags&flagOver != 0 {
		c.flags |= flagClose
	}
	if r.HasBody() && string(r.Method) != "POST" {
		// Nobody reads it, so there can be no request behind it.
		c.flags |= flagClose
		rest = nil
	}
	page := s.pageOf(r.Origin, r.Host)
	s.setPage(i, c, page)
	if page != "" && isPreflight(r.Head) {
		s.preflight(i, c, r.Head)
		return rest
	}
	allowed, ok := resolve(r)
	if string(r.Path) == echoPath && !s.cfg.Debug.Echo {
		ok = false
	}
	method := string(r.Method)
	switch {
	case !ok:
		s.refuse(i, c, reasons.RejectNotFound, errNotFound, nil)
		return nil
	case c.flags&flagOver != 0 && !isHealth(r.Path):
		s.refuseOver(i, c, reasons.RejectAddress)
		return nil
	case !s.forwarded(i, c):
		return nil
	case page == "" && len(r.Origin) > 0 && !isHealth(r.Path): // health is no secret of a page
		s.tellStranger(s.request.Origin)
		s.refuse(i, c, reasons.RejectOrigin, errOrigin, nil)
		return nil
	case c.flags&flagKept != 0 && !s.mayTalk(i): // the first is counted with the next
		s.refuseOver(i, c, reasons.RejectMessageRate)
		return nil
	case method == "OPTIONS" && !isHealth(r.Path):
		s.answer(i, c, 204, "", http1.Options{Lines: []byte(allowLine + "\r\n")})
		return rest
	case method != "OPTIONS" && !slices.Contains(allowed, method):
		s.refuse(i, c, reasons.RejectMethod, errMethod, []byte("Allow: "+strings.Join(allowed, ", ")))
		return nil
	}
	switch path := string(r.Path); {
	case isHealth(r.Path):
		status, body, o := s.healthOf(r.Path)
		if method == "OPTIONS" {
			o.Lines = []byte("Allow: GET, HEAD, OPTIONS\r\n")
		}
		s.answer(i, c, status, string(body), o)
	case s.drain.reason == reasons.CloseDrain:
		s.refuse(i, c, reasons.RejectDraining, errDraining, s.retryElsewhere())
	case (path == "/v1/ws" || path == "/v1/sse") && !s.take(&s.srv.handshakes, s.cfg.handshakeRate):
		s.refuseOver(i, c, reasons.RejectHandshakeRate)
		return nil
	case path == "/v1/ws":
		s.websocket(i, c, rest)
		return nil
	case path == "/v1/poll" && method == "POST" && s.cfg.Auth.Mode != auth.ModeNone && len(s.requestToken()) == 0:
		return s.postRequest(i, c, targetPoll, rest) // its token is in the body
	case !s.authorize(i, c):
		return nil
	case path == echoPath:
		s.openEcho(i, c, rest)
		return nil
	case path == "/v1/sse":
		s.events(i, c)
	case path == "/v1/publish":
		return s.postRequest(i, c, targetPublish, rest)
	case method == "POST":
		return s.postRequest(i, c, targetPoll, rest)
	default:
		s.pollGet(i, c)
	}
	return rest
}

var (
	errNotFound = &http1.Error{Status: 404, Code: "not_found", Message: "no such path"}
	errMethod   = &http1.Error{Status: 405, Code: "method_not_allowed", Message: "this path does not take this method"}
)

// malformed answers bytes that are no HTTP request.
func (s *shard) malformed(i uint32, c *conn, err *http1.Error) {
	reason := reasons.RejectBadRequest
	switch err.Status {
	case 413:
		reason = reasons.RejectMessageSize
	case 431:
		reason = reasons.RejectHeadTooLong
	}
	s.refuse(i, c, reason, err, nil)
}

var (
	errHeadTimeout = &http1.Error{Status: 408, Code: "head_timeout", Message: "the request head did not arrive in time"}
	errBodyTimeout = &http1.Error{Status: 408, Code: "body_timeout", Message: "the request body did not arrive in time"}
)

// headTimeout ends a connection whose next request took too long. One that
// waits between requests, or never said anything, has nothing to be told.
func (s *shard) headTimeout(i uint32, c *conn) {
	if c.flags&flagOver != 0 {
		s.request = http1.Request{}
		s.refuseOver(i, c, reasons.RejectAddress)
		return
	}
	if c.in != 0 && c.out != 0 {
		s.release(i, c, reasons.CloseSlow) // it doesn't read the answer that it has
		return
	}
	if c.phase != phaseBody && c.in == 0 {
		s.stats.rejects[reasons.RejectHeadTimeout]++
		s.release(i, c, reasons.CloseRejected)
		return
	}
	err := errBodyTimeout
	if c.phase != phaseBody {
		err = errHeadTimeout
		s.setPage(i, c, s.pageIn(s.inputs.At(c.in).buf))
	}
	s.request = http1.Request{}
	s.refuse(i, c, reasons.RejectHeadTimeout, err, nil)
}

var errDraining = &http1.Error{Status: 503, Code: "draining", Message: "this gateway is shutting down"}

// refuse answers a request with an error and ends its connection: what follows
// on it can't be trusted, or isn't wanted. line is a further header line
// without its end, or nil.
func (s *shard) refuse(i uint32, c *conn, reason reasons.Reject, err *http1.Error, line []byte) {
	s.stats.rejects[reason]++
	s.traceRefused(i, c, err, s.request.Origin)
	o := s.connOptions(i, c)
	o.NoBody = string(s.request.Method) == "HEAD"
	if line != nil {
		o.Lines = append(append(o.Lines, line...), '\r', '\n')
	}
	if isTemporary(err) && wantsEvents(&s.request) {
		s.finish(i, c, reasons.CloseRejected, s.appendLater(nil, reason, err, o))
		return
	}
	s.finish(i, c, reasons.CloseRejected, err.Append(nil, o))
}

// answer sends a response to a request without a body and goes on with the
// connection's next one, if it's kept.
func (s *shard) answer(i uint32, c *conn, status int, body string, o http1.Options) {
	common := s.connOptions(i, c)
	o.Close, o.Date, o.AllowOrigin = common.Close, common.Date, common.AllowOrigin
	o.NoBody = string(s.request.Method) == "HEAD"
	s.respondWith(i, c, http1.AppendResponse(nil, status, []byte(body), o))
}

// respondWith sends a whole response in one piece or more, and ends the connection
// or makes it ready for the next request.
func (s *shard) respondWith(i uint32, c *conn, response ...[]byte) {
	if c.phase >= phaseClosing {
		return
	}
	s.freePoll(c)
	response = behindLead(c, response)
	if c.flags&flagClose != 0 {
		s.finish(i, c, reasons.CloseAnswered, response...)
		return
	}
	s.setGrant(c, nil)
	c.phase, c.kind, c.flags = phaseHead, kindNone, c.flags&(flagHalf|flagDemoted)|flagKept
	s.wheel.Set(i, s.now+ticks(s.cfg.Limits.IdleTimeout))
	s.sendEach(i, c, response)
	if c.phase == phaseHead && c.in != 0 && c.out == 0 {
		s.head(i, c, nil)
	}
	s.endHalf(i, c)
}

// healthOf returns the answer to a request for the health on the public listener, for
// load balancers that probe the port they send clients to. HAProxy asks for OPTIONS
// unless it's told otherwise.
func (s *shard) healthOf(path []byte) (status int, body []byte, o http1.Options) {
	o.ContentType = "text/plain; charset=utf-8"
	if string(path) != "/healthz" {
		if err := s.srv.Ready(); err != nil {
			return 503, []byte(err.Error() + "\n"), o
		}
	}
	return 200, []byte("ok\n"), o
}
