package gateway

import (
	"bytes"
	"slices"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// webPages are those whose requests a shard's connections carry, by their
// origins. A poll is answered long after its request has gone, so a connection
// keeps its page: flagCORS alone for one that the configuration allows by a
// pattern, and an index too, in 2 B, for one that it names.
type webPages struct {
	names []string // origins as the configuration names them; they only grow
	of    slab.Sparse[uint16]
}

// at returns the index of the connection's page, one more than its place in
// names; 0 is a page that isn't named, or none.
func (p *webPages) at(i uint32, c *conn) uint16 {
	if at := p.of.Get(i); at != nil && c.flags&flagCORS != 0 {
		return *at
	}
	return 0
}

// pageOf returns which page may read the answer to a request with this Origin
// and Host, as http1.Options has it: empty for one that isn't allowed, and where
// no page asks.
func (s *shard) pageOf(origin, host []byte) string {
	switch {
	case len(origin) == 0:
		return ""
	case s.srv.consoleOrigins[string(origin)]: // the console on this gateway's own admin listener
		return http1.AnyOrigin
	case !s.cfg.origins.Allow(origin, host):
		return ""
	}
	if name := s.cfg.origins.Name(origin); name != "" {
		return name
	}
	return http1.AnyOrigin
}

// pageIn is pageOf for a request that can't be read, or not yet.
func (s *shard) pageIn(head []byte) string {
	return s.pageOf(http1.Peek(head, "Origin"), http1.Peek(head, "Host"))
}

// setPage notes which page may read the next answer on a connection.
func (s *shard) setPage(i uint32, c *conn, page string) {
	c.flags &^= flagCORS
	s.pages.of.Clear(i)
	if page == "" {
		return
	}
	c.flags |= flagCORS
	if page == http1.AnyOrigin {
		return
	}
	p := &s.pages
	at := slices.Index(p.names, page)
	if at < 0 {
		at = len(p.names)
		p.names = append(p.names, page)
	}
	*p.of.At(i) = uint16(at + 1)
}

// connOptions returns what the answers on a connection have in common.
func (s *shard) connOptions(i uint32, c *conn) http1.Options {
	o := http1.Options{Close: c.flags&flagClose != 0, Date: s.date}
	switch at := s.pages.at(i, c); {
	case at > 0:
		o.AllowOrigin = s.pages.names[at-1]
	case c.flags&flagCORS != 0:
		o.AllowOrigin = http1.AnyOrigin
	}
	return o
}

var errOrigin = &http1.Error{Status: 403, Code: "origin_not_allowed", Message: "pages of this origin may not connect here"}

const (
	allowLine = "Allow: GET, HEAD, POST, OPTIONS"

	// preflightLines are what pages may send. A browser keeps them for as long
	// as it likes; Chromium for two hours at most.
	preflightLines = allowLine + "\r\n" +
		"Access-Control-Allow-Methods: GET, HEAD, POST\r\n" +
		"Access-Control-Max-Age: 86400\r\n" +
		"Access-Control-Allow-Headers: Accept, Authorization, Cache-Control, Content-Type, Last-Event-ID, Pragma, X-Requested-With"
)

// isPreflight reports whether a request of a page's is the question whether it may
// send another one (Fetch standard, 3.3).
func isPreflight(head []byte) bool { return bytes.HasPrefix(head, []byte("OPTIONS ")) }

// appendPreflight appends the header lines that let a page of an allowed origin
// send the request that it asks for. Whatever other headers it names are allowed
// too: those of tracing libraries, which the gateway ignores, would otherwise fail
// the request.
func appendPreflight(dst, head []byte) []byte {
	dst = append(dst, preflightLines...)
	if asked := http1.Peek(head, "Access-Control-Request-Headers"); len(asked) > 0 && http1.IsTokenList(asked) {
		dst = append(append(dst, ", "...), asked...)
	}
	dst = append(dst, "\r\n"...)
	if bytes.EqualFold(http1.Peek(head, "Access-Control-Request-Private-Network"), []byte("true")) {
		// An operator who lists a public page for a gateway in a private
		// network means it.
		dst = append(dst, "Access-Control-Allow-Private-Network: true\r\n"...)
	}
	return dst
}

// maxPreflights is how many preflights in a row a client may send on one
// connection while limits.messages_per_second is set.
const maxPreflights = 20

// preflight answers a browser's question before a request. No limit refuses it,
// nor is a fault told, since the page would learn nothing of that: the request
// itself is refused then, readably.
func (s *shard) preflight(i uint32, c *conn, head []byte) {
	if s.cfg.messageRate.IsSet() {
		t := s.rates.At(i)
		if t.preflights++; t.preflights >= maxPreflights {
			c.flags |= flagClose
		}
	}
	s.answer(i, c, 204, "", http1.Options{Lines: appendPreflight(nil, head)})
}

// tellStranger logs the origin of a page that is refused. A browser tells neither
// the page nor its user why.
func (s *shard) tellStranger(origin []byte) {
	isNew, last := s.srv.strangers.IsNew(string(origin))
	if !isNew {
		return
	}
	s.log.Info("a page is refused: its origin is not allowed", "origin", string(origin), "key", "origins",
		"fix", "list it in origins and reload; or, where a proxy in front changes Host, have it pass that on")
	if last {
		s.log.Info("further origins that are refused are not logged", "logged", limit.MaxNames)
	}
}
