package gateway

import (
	"slices"
	"strings"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// route handles the request in s.request; rest holds the bytes behind its head. It returns the
// bytes not consumed.
func (s *shard) route(i uint32, c *client, rest []byte) (left []byte) {
	r := &s.request
	if !r.KeepAlive() || s.srv.draining.Load() || c.flags&flagOver != 0 {
		c.flags |= flagClose
	}
	if r.HasBody() && string(r.Method) != "POST" {
		// The body isn't read, so no request can follow it.
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
	case page == "" && len(r.Origin) > 0 && !isHealth(r.Path): // health is no secret
		s.tellStranger(s.request.Origin)
		s.refuse(i, c, reasons.RejectOrigin, errOrigin, nil)
		return nil
	case c.flags&flagKept != 0 && !s.withinRate(i): // the first is charged with the second
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

// endpoint is a served path.
type endpoint struct {
	path    []byte
	methods []string
}

// endpoints are the served paths, by name. The root is the readiness, for health checks of load
// balancers without a configured path.
var endpoints = func() map[string]*endpoint {
	all := make(map[string]*endpoint)
	for path, methods := range map[string][]string{
		"/":           {"GET", "HEAD"},
		"/healthz":    {"GET", "HEAD"},
		"/readyz":     {"GET", "HEAD"},
		"/v1/ws":      {"GET"},
		"/v1/sse":     {"GET", "HEAD"},
		"/v1/poll":    {"GET", "HEAD", "POST"},
		"/v1/publish": {"POST"},
		echoPath:      {"GET"},
	} {
		all[path] = &endpoint{[]byte(path), methods}
	}
	all["*"] = all["/"] // OPTIONS * (RFC 9112, 3.2.4)
	return all
}()

// maxPath bounds a path spelled differently from endpoints.
const maxPath = 32

// resolve returns the methods of the request's endpoint, and normalizes its path. A trailing slash
// is ignored, as are doubled ones, which proxies that join paths produce.
func resolve(r *http1.Request) (methods []string, ok bool) {
	e := endpoints[string(r.Path)]
	if e == nil {
		var room [maxPath]byte
		path := room[:0]
		for _, b := range r.Path {
			if b == '/' && len(path) > 0 && path[len(path)-1] == '/' {
				continue
			}
			if len(path) == maxPath {
				return nil, false
			}
			path = append(path, b)
		}
		if n := len(path); n > 1 && path[n-1] == '/' {
			path = path[:n-1]
		}
		if e = endpoints[string(path)]; e == nil {
			return nil, false
		}
	}
	r.Path = e.path
	return e.methods, true
}

// isHealth reports whether a path is a health check.
func isHealth(path []byte) bool {
	switch string(path) {
	case "/", "/healthz", "/readyz":
		return true
	}
	return false
}
