package gateway

import (
	"strconv"

	"pushgate/gateway/http1"
)

// maxPipelined is how much a client may send ahead while it doesn't read the
// answers it has.
const maxPipelined = 64 << 10

// head takes bytes of request heads. Once one is complete it is routed; until
// then, and while an earlier answer waits for the client to read, they are
// kept.
func (s *shard) head(i uint32, c *conn, data []byte) {
	if c.in != 0 {
		in := s.inputs.at(c.in)
		in.buf = append(in.buf, data...)
		data = in.buf
	}
	gen := c.gen
	for c.gen == gen && c.phase == phaseHead {
		if c.out != 0 {
			if len(data) > maxPipelined {
				s.release(i, c, CloseSlow)
				return
			}
			s.keep(c, data)
			return
		}
		n, err := s.request.Parse(data, s.srv.cfg.Limits.HeadBytes)
		if err != nil {
			s.malformed(i, c, err.(*http1.Error))
			return
		}
		if n == 0 {
			s.keep(c, data)
			return
		}
		data = data[n:]
		s.detach(c)
		s.route(i, c, data)
	}
}

// detach frees the connection's input and leaves its buffer to the bytes that
// are being worked on.
func (s *shard) detach(c *conn) {
	if c.in != 0 {
		s.inputs.at(c.in).buf = nil
		s.freeInput(c)
	}
}

// keep holds the bytes of an incomplete head until more come.
func (s *shard) keep(c *conn, data []byte) {
	if len(data) == 0 {
		s.freeInput(c)
		return
	}
	in := s.inputOf(c)
	in.buf = append(in.buf[:0], data...)
}

// route answers the request in s.request; rest is what follows its head.
func (s *shard) route(i uint32, c *conn, rest []byte) {
	switch string(s.request.Path) {
	case "/v1/ws":
		s.websocket(i, c, rest)
	case "/healthz":
		s.health(i, c, nil)
	case "/readyz":
		s.health(i, c, s.srv.Ready())
	default:
		s.refuse(i, c, RejectNotFound, &http1.Error{Status: 404, Code: "not_found", Message: "no such path"}, nil)
	}
}

// malformed answers bytes that are no HTTP request.
func (s *shard) malformed(i uint32, c *conn, err *http1.Error) {
	reason := RejectBadRequest
	if err.Status == 431 || err.Status == 414 {
		reason = RejectHeadTooLong
	}
	s.refuse(i, c, reason, err, nil)
}

var errHeadTimeout = &http1.Error{Status: 408, Code: "head_timeout", Message: "the request head did not arrive in time"}

// headTimeout ends a connection whose next request took too long. One that
// waits between requests, or never said anything, has nothing to be told.
func (s *shard) headTimeout(i uint32, c *conn) {
	if c.in == 0 {
		s.stats.rejects[RejectHeadTimeout]++
		s.release(i, c, CloseRejected)
		return
	}
	s.request = http1.Request{}
	s.refuse(i, c, RejectHeadTimeout, errHeadTimeout, nil)
}

var (
	errTooManyConnections = &http1.Error{Status: 503, Code: "too_many_connections", Message: "this gateway holds as many connections as it may"}
	errDraining           = &http1.Error{Status: 503, Code: "draining", Message: "this gateway is shutting down"}
)

// turnAway answers a connection over the limit before it said anything. It
// keeps its slot until the client has seen the answer, a second at most.
func (s *shard) turnAway(i uint32, c *conn) {
	s.request = http1.Request{}
	s.refuse(i, c, RejectConnections, errTooManyConnections, s.retryAfter())
	if c.phase == phaseClosing {
		s.wheel.Set(i, s.now+turnAwayTicks)
	}
}

// turnAwayTicks is how long a connection over the limit may keep its slot.
const turnAwayTicks = 10

// retryAfter returns the header that spreads the next tries of those that are
// turned away over ten seconds.
func (s *shard) retryAfter() []byte {
	s.retry++
	return strconv.AppendUint([]byte("Retry-After: "), uint64(1+s.retry%10), 10)
}

// refuse answers a request with an error and ends its connection: what follows
// on it can't be trusted, or isn't wanted. line is a further header line
// without its end, or nil.
func (s *shard) refuse(i uint32, c *conn, reason RejectReason, err *http1.Error, line []byte) {
	s.stats.rejects[reason]++
	o := http1.Options{Date: s.date, NoBody: string(s.request.Method) == "HEAD"}
	if line != nil {
		o.Lines = append(line, '\r', '\n')
	}
	s.leave(c, CloseRejected)
	s.finish(i, c, err.Append(nil, o))
}

// answer sends a response and goes on with the connection's next request, or
// ends it where the client doesn't want to, or sent a body that nobody reads.
func (s *shard) answer(i uint32, c *conn, status int, body string, o http1.Options) {
	o.Close = !s.request.KeepAlive() || s.request.HasBody() || s.srv.draining.Load()
	o.NoBody = string(s.request.Method) == "HEAD"
	o.Date = s.date
	s.scratch = http1.AppendResponse(s.scratch[:0], status, []byte(body), o)
	if o.Close {
		s.leave(c, CloseAnswered)
		s.finish(i, c, append([]byte(nil), s.scratch...))
		return
	}
	s.wheel.Set(i, s.now+ticks(s.srv.cfg.Limits.HeadTimeout))
	s.sendCopy(i, c, s.scratch)
}

var errMethod = &http1.Error{Status: 405, Code: "method_not_allowed", Message: "this path takes GET"}

// health answers /healthz and /readyz on the public listener, for load
// balancers that probe the port they send clients to.
func (s *shard) health(i uint32, c *conn, err error) {
	switch m := string(s.request.Method); {
	case m != "GET" && m != "HEAD":
		s.refuse(i, c, RejectMethod, errMethod, []byte("Allow: GET, HEAD"))
	case err != nil:
		s.answer(i, c, 503, err.Error()+"\n", http1.Options{ContentType: "text/plain; charset=utf-8"})
	default:
		s.answer(i, c, 200, "ok\n", http1.Options{ContentType: "text/plain; charset=utf-8"})
	}
}
