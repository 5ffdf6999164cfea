package gateway

import (
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// head takes bytes of request heads. Once one is complete it is routed; until then, and while an
// earlier response waits for the client to read, they are kept.
func (s *shard) head(i uint32, c *client, data []byte) {
	fresh, parsed := len(data), 0
	if c.in != 0 {
		in := s.takeInput(i, c, data, s.cfg.Limits.HeadBytes)
		data, parsed = in.buf, in.parsed
	}
	for c.phase == phaseHead {
		if s.conns.Queued(i) {
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

// hurry shortens the deadline of a kept connection, once a request has begun, from the idle timeout
// to the head timeout.
func (s *shard) hurry(i uint32) {
	end := s.conns.Now() + conn.Ticks(s.cfg.Limits.HeadTimeout)
	if due, ok := s.conns.Deadline(i); ok && int32(due-end) > 0 {
		s.conns.SetDeadline(i, end)
	}
}

// parsed notes that n bytes of a head are incomplete, and reads on.
func (s *shard) parsed(c *client, n int) {
	if c.in == 0 {
		return
	}
	in := s.inputs.At(c.in)
	in.parsed = n
	if in.paused {
		in.paused = false
		s.conns.Resume(in.owner)
	}
}

var (
	errHeadTimeout = &http1.Error{Status: 408, Code: "head_timeout", Message: "the request head did not arrive in time"}
	errBodyTimeout = &http1.Error{Status: 408, Code: "body_timeout", Message: "the request body did not arrive in time"}
)

// headTimeout closes a connection whose next request took too long. An idle connection, or one that
// never sent anything, gets no error.
func (s *shard) headTimeout(i uint32, c *client) {
	if c.flags&flagOver != 0 {
		s.request = http1.Request{}
		s.refuseOver(i, c, reasons.RejectAddress)
		return
	}
	if c.in != 0 && s.conns.Queued(i) {
		s.conns.Release(i, reasons.CloseSlow) // it doesn't read its response
		return
	}
	if c.phase != phaseBody && c.in == 0 && !s.conns.HasPartOfHeader(i) {
		s.stats.rejects[reasons.RejectHeadTimeout]++
		s.conns.Release(i, reasons.CloseRejected)
		return
	}
	err := errBodyTimeout
	if c.phase != phaseBody {
		err = errHeadTimeout
	}
	if c.phase != phaseBody && c.in != 0 {
		s.setPage(i, c, s.pageIn(s.inputs.At(c.in).buf))
	}
	s.request = http1.Request{}
	s.refuse(i, c, reasons.RejectHeadTimeout, err, nil)
}

var errDraining = &http1.Error{Status: 503, Code: "draining", Message: "this gateway is shutting down"}

// answer sends a response to a request without a body and continues with the connection's next
// request, if it's kept.
func (s *shard) answer(i uint32, c *client, status int, body string, o http1.Options) {
	common := s.connOptions(i, c)
	o.Close, o.Date, o.AllowOrigin = common.Close, common.Date, common.AllowOrigin
	o.NoBody = string(s.request.Method) == "HEAD"
	s.respondWith(i, c, http1.AppendResponse(nil, status, []byte(body), o))
}

// respondWith sends a whole response in one piece or more, and ends the connection
// or makes it ready for the next request.
func (s *shard) respondWith(i uint32, c *client, response ...[]byte) {
	if c.phase == phaseClosed {
		return
	}
	s.freePoll(c)
	response = behindLead(c, response)
	if c.flags&flagClose != 0 {
		s.conns.Finish(i, reasons.CloseAnswered, response...)
		return
	}
	s.setGrant(c, nil)
	c.phase, c.kind, c.flags = phaseHead, kindNone, flagKept
	s.conns.SetDeadline(i, s.conns.Now()+conn.Ticks(s.cfg.Limits.IdleTimeout))
	s.conns.SendEach(i, response)
	if c.phase == phaseHead && c.in != 0 && !s.conns.Queued(i) {
		s.head(i, c, nil)
	}
	s.endHalf(i, c)
}

// healthOf returns the health response of the public listener, for load balancers that probe the
// port they send clients to. HAProxy sends OPTIONS by default.
func (s *shard) healthOf(path []byte) (status int, body []byte, o http1.Options) {
	o.ContentType = "text/plain; charset=utf-8"
	if string(path) != "/healthz" {
		if err := s.srv.Ready(); err != nil {
			return 503, []byte(err.Error() + "\n"), o
		}
	}
	return 200, []byte("ok\n"), o
}
