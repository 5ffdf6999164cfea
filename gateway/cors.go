package gateway

import "pushgate/gateway/http1"

// corsLines let a page of an allowed origin read the answer. Clients are known
// by tokens, not by cookies, so no origin has to be named.
const corsLines = "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Poll-Cursor\r\n"

// preflightLines answer a browser that asks before it sends a request with a
// JSON body or a token (Fetch standard, section 3.3).
const preflightLines = corsLines +
	"Access-Control-Allow-Methods: GET, POST\r\n" +
	"Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n" +
	"Access-Control-Max-Age: 86400\r\n"

var errOrigin = &http1.Error{Status: 403, Code: "origin_not_allowed", Message: "pages of this origin may not connect here"}

// checkOrigin refuses a browser's request from a page that isn't allowed, and
// notes that an allowed page has to be told so. Health is no secret of a page.
func (s *shard) checkOrigin(i uint32, c *conn) bool {
	r := &s.request
	if len(r.Origin) == 0 {
		return true
	}
	switch allowed := s.originAllowed(r.Origin, r.Host); {
	case !allowed && isHealth(r.Path):
		return true
	case !allowed:
		s.refuse(i, c, RejectOrigin, errOrigin, nil)
		return false
	}
	c.flags |= flagCORS
	return true
}

// originAllowed is true for what the operator allows, and for the console on
// this gateway's own admin listener.
func (s *shard) originAllowed(origin, host []byte) bool {
	return s.cfg.origins.Allow(origin, host) || s.srv.consoleOrigins[string(origin)]
}

// preflight answers OPTIONS.
func (s *shard) preflight(i uint32, c *conn) {
	o := http1.Options{}
	o.Lines = append(o.Lines, "Allow: GET, HEAD, POST, OPTIONS\r\n"...)
	if c.flags&flagCORS != 0 {
		o.Lines = append(o.Lines, preflightLines...)
	}
	s.answer(i, c, 204, "", o)
}

// connOptions returns how responses on a connection end, and what allowed pages
// are told.
func (s *shard) connOptions(c *conn) http1.Options {
	o := http1.Options{Close: c.flags&flagClose != 0, Date: s.date}
	if c.flags&flagCORS != 0 {
		o.Lines = append(o.Lines, corsLines...)
	}
	return o
}
