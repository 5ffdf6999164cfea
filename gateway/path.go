package gateway

import "github.com/pushgate/pushgate/gateway/http1"

// endpoint is a path that is served.
type endpoint struct {
	path    []byte
	methods []string
}

// endpoints are all of them. The root is the readiness: there the checks of load
// balancers look that were given no path.
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

// maxPath is the room for a path that is spelled otherwise than in endpoints.
const maxPath = 32

// resolve returns the methods of the endpoint that the request is for, and gives
// its path that endpoint's spelling. A slash at the end means nothing, nor does a
// doubled one, which proxies that join paths make.
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

// isHealth reports whether a path is for those that watch the gateway.
func isHealth(path []byte) bool {
	switch string(path) {
	case "/", "/healthz", "/readyz":
		return true
	}
	return false
}
