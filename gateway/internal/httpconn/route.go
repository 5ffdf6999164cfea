package httpconn

import (
	"slices"
	"strings"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Route is a path that is served.
type Route struct {
	Path     string
	Methods  []string // OPTIONS is always among them
	Endpoint Endpoint
	// Off, if set, reports whether the path doesn't exist at present.
	Off func() bool
	// Handshake counts requests to it for the rate of handshakes.
	Handshake bool
	// Later, if set, appends a rejection of a request that may succeed after a time in milliseconds,
	// for clients that never retry after an error; ok is false for others.
	Later func(dst []byte, r *http1.Request, err *http1.Error, afterMS int64, o http1.Options) (_ []byte, ok bool)

	path   []byte
	health bool
}

// Endpoint serves requests to a path.
type Endpoint interface {
	// Serve handles the server's Request. rest holds the bytes behind its head; it returns those
	// that belong to the next requests.
	Serve(i uint32, rest []byte) (left []byte)
}

// router finds the endpoint of a request.
type router struct {
	server *Server
	routes map[string]*Route
}

// Handle adds a route.
func (h *Server) Handle(r *Route) {
	r.path = []byte(r.Path)
	h.router.routes[r.Path] = r
}

// route handles the request in h.request; rest holds the bytes behind its head. It returns the
// bytes not consumed.
func (h *router) route(i uint32, e *exchange, rest []byte) (left []byte) {
	r := &h.server.request
	if !r.KeepAlive() || h.server.shared.Draining.Load() || e.flags&flagOver != 0 {
		e.flags |= flagClose
	}
	if r.HasBody() && string(r.Method) != "POST" {
		// The body isn't read, so no request can follow it.
		e.flags |= flagClose
		rest = nil
	}
	page := h.server.cors.pageOf(r.Origin, r.Host)
	h.server.cors.setPage(i, e, page)
	if page != "" && isPreflight(r.Head) {
		h.server.preflight(i, e, r.Head)
		return rest
	}
	to := h.resolve(r)
	method := string(r.Method)
	switch {
	case to == nil || to.Off != nil && to.Off():
		h.server.Refuse.Request(i, reasons.RejectNotFound, errNotFound, nil)
		return nil
	case e.flags&flagOver != 0 && !to.health:
		h.server.Refuse.Over(i, reasons.RejectAddress)
		return nil
	case !h.forwarded(i, to):
		return nil
	case page == "" && len(r.Origin) > 0 && !to.health: // health is no secret
		h.server.shared.logOrigin(h.server.log, r.Origin)
		h.server.Refuse.Request(i, reasons.RejectOrigin, errOrigin, nil)
		return nil
	case e.flags&flagKept != 0 && !h.server.limits.Message(i, h.server.conns.Age(i)): // the first is charged with the second
		h.server.Refuse.Over(i, reasons.RejectMessageRate)
		return nil
	case method == "OPTIONS" && !to.health:
		h.server.Answer(i, 204, "", http1.Options{Lines: []byte(allowLine + "\r\n")})
		return rest
	case method != "OPTIONS" && !slices.Contains(to.Methods, method):
		h.server.Refuse.Request(i, reasons.RejectMethod, errMethod, []byte("Allow: "+strings.Join(to.Methods, ", ")))
		return nil
	case to.health:
		status, body, o := h.health(r.Path)
		if method == "OPTIONS" {
			o.Lines = []byte("Allow: GET, HEAD, OPTIONS\r\n")
		}
		h.server.Answer(i, status, string(body), o)
		return rest
	case h.server.leaving:
		h.server.Refuse.Request(i, reasons.RejectDraining, errDraining, h.server.Refuse.retryElsewhere())
		return rest
	case to.Handshake && !h.server.shared.handshakes.Take(h.server.options.HandshakeRate, h.server.limits.Uptime()):
		h.server.Refuse.Over(i, reasons.RejectHandshakeRate)
		return nil
	}
	return to.Endpoint.Serve(i, rest)
}

var (
	errNotFound = &http1.Error{Status: 404, Code: "not_found", Message: "no such path"}
	errMethod   = &http1.Error{Status: 405, Code: "method_not_allowed", Message: "this path does not take this method"}
	errDraining = &http1.Error{Status: 503, Code: "draining", Message: "this gateway is shutting down"}
)

// maxPath bounds a path spelled differently from routes.
const maxPath = 32

// resolve returns the request's route, nil if there is none, and normalizes its path. A trailing
// slash is ignored, as are doubled ones, which proxies that join paths produce.
func (h *router) resolve(r *http1.Request) *Route {
	to := h.routes[string(r.Path)]
	if to == nil {
		var room [maxPath]byte
		path := room[:0]
		for _, b := range r.Path {
			if b == '/' && len(path) > 0 && path[len(path)-1] == '/' {
				continue
			}
			if len(path) == maxPath {
				return nil
			}
			path = append(path, b)
		}
		if n := len(path); n > 1 && path[n-1] == '/' {
			path = path[:n-1]
		}
		if to = h.routes[string(path)]; to == nil {
			return nil
		}
	}
	r.Path = to.path
	return to
}

// health returns the response to a health check, for load balancers that probe the port they send
// clients to. The root is the readiness, for those without a configured path. HAProxy sends OPTIONS
// by default.
func (h *router) health(path []byte) (status int, body []byte, o http1.Options) {
	o.ContentType = "text/plain; charset=utf-8"
	if string(path) != "/healthz" {
		if err := h.server.shared.Ready(); err != nil {
			return 503, []byte(err.Error() + "\n"), o
		}
	}
	return 200, []byte("ok\n"), o
}
