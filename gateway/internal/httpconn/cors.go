package httpconn

import (
	"bytes"
	"log/slog"
	"slices"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// cors decides which pages may read which responses.
type cors struct {
	server *Server
	pages  webPages
}

// webPages records, by origin, which page may read the response on each of a loop's connections. A
// poll's response follows long after its request is gone, so the connection keeps the page:
// flagCORS alone for an origin that the configuration allows by a pattern, and an index too, in 2
// B, for one that it names.
type webPages struct {
	names []string // origins as the configuration names them; they only grow
	of    slab.Sparse[uint16]
}

// at returns the index of the connection's page, one more than its place in names; 0 is an unnamed
// page, or none.
func (p *webPages) at(i uint32, e *exchange) uint16 {
	if at := p.of.Get(i); at != nil && e.flags&flagCORS != 0 {
		return *at
	}
	return 0
}

// pageOf returns the page that may read the response to a request with this Origin and Host, as in
// http1.Options: empty for a forbidden one, and for requests that don't come from a page.
func (h *cors) pageOf(origin, host []byte) string {
	switch {
	case len(origin) == 0:
		return ""
	case h.server.shared.ConsoleOrigins[string(origin)]: // the console on this gateway's own admin listener
		return http1.AnyOrigin
	case !h.server.options.Origins.Allow(origin, host):
		return ""
	}
	if name := h.server.options.Origins.Name(origin); name != "" {
		return name
	}
	return http1.AnyOrigin
}

// pageIn is pageOf for a malformed or incomplete request.
func (h *cors) pageIn(head []byte) string {
	return h.pageOf(http1.Peek(head, "Origin"), http1.Peek(head, "Host"))
}

// setPage notes which page may read the next response on a connection.
func (h *cors) setPage(i uint32, e *exchange, page string) {
	e.flags &^= flagCORS
	h.pages.of.Clear(i)
	if page == "" {
		return
	}
	e.flags |= flagCORS
	if page == http1.AnyOrigin {
		return
	}
	p := &h.pages
	at := slices.Index(p.names, page)
	if at < 0 {
		at = len(p.names)
		p.names = append(p.names, page)
	}
	*p.of.At(i) = uint16(at + 1)
}

var errOrigin = &http1.Error{Status: 403, Code: "origin_not_allowed", Message: "pages of this origin may not connect here"}

const (
	allowLine = "Allow: GET, HEAD, POST, OPTIONS"

	// preflightLines are the methods and headers allowed to pages. A browser may cache them;
	// Chromium does for two hours at most.
	preflightLines = allowLine + "\r\n" +
		"Access-Control-Allow-Methods: GET, HEAD, POST\r\n" +
		"Access-Control-Max-Age: 86400\r\n" +
		"Access-Control-Allow-Headers: Accept, Authorization, Cache-Control, Content-Type, Last-Event-ID, Pragma, X-Requested-With"
)

// isPreflight reports whether a page's request is a CORS preflight (Fetch standard, 3.3).
func isPreflight(head []byte) bool { return bytes.HasPrefix(head, []byte("OPTIONS ")) }

// appendPreflight appends the header lines that let a page of an allowed origin send its actual
// request. All other headers that it names are allowed too: headers of tracing libraries, which the
// gateway ignores, would otherwise fail the request.
func appendPreflight(dst, head []byte) []byte {
	dst = append(dst, preflightLines...)
	if asked := http1.Peek(head, "Access-Control-Request-Headers"); len(asked) > 0 && http1.IsTokenList(asked) {
		dst = append(append(dst, ", "...), asked...)
	}
	dst = append(dst, "\r\n"...)
	if bytes.EqualFold(http1.Peek(head, "Access-Control-Request-Private-Network"), []byte("true")) {
		// An operator who lists a public page for a gateway in a private network intends this.
		dst = append(dst, "Access-Control-Allow-Private-Network: true\r\n"...)
	}
	return dst
}

// preflight responds to a browser's CORS preflight. No limit or error refuses it, since the page
// couldn't read the reason: the actual request is refused instead, readably.
func (h *Server) preflight(i uint32, e *exchange, head []byte) {
	if h.limits.Preflight(i) {
		e.flags |= flagClose
	}
	h.Answer(i, 204, "", http1.Options{Lines: appendPreflight(nil, head)})
}

// logOrigin logs the origin of a refused page. A browser tells neither the page nor its user the
// reason.
func (s *Shared) logOrigin(log *slog.Logger, origin []byte) {
	isNew, last := s.forbidden.IsNew(string(origin))
	if !isNew {
		return
	}
	log.Info("a page is refused: its origin is not allowed", "origin", string(origin), "key", "origins",
		"fix", "list it in origins and reload; or, where a proxy in front changes Host, have it pass that on")
	if last {
		log.Info("further refused origins are not logged", "logged", limit.MaxNames)
	}
}
