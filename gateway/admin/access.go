package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// open are the paths that need no token: load balancers and supervisors ask
// them, and they tell nothing else.
var open = map[string]bool{"/healthz": true, "/readyz": true}

// Protect lets only the operator through to next: whoever shows the token, as
// a bearer token or as the password of basic authentication, which browsers can
// do. Without a token it's whoever can reach the listener, which
// is on loopback then.
//
// Web pages in the operator's browser can reach it too. They are kept out by
// the Origin and Sec-Fetch-Site that browsers send along, and, without a token,
// by the name that the request is for: a page can point a name of its own at
// 127.0.0.1, but it can't make the browser ask for localhost then. That holds for
// reading too, for a profile costs CPU time whoever reads it; only the console may be
// linked to.
//
// present returns the token as configured now.
func Protect(present func() string, next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := present()
		switch {
		case open[r.URL.Path]:
		case token == "" && !isLocal(r.Host):
			refuse(w, &Error{http.StatusForbidden, codeForbidden, "without admin.token, ask for localhost or an address"})
			return
		case token != "" && !shows(r, token):
			w.Header().Add("WWW-Authenticate", `Bearer realm="gateway"`)
			w.Header().Add("WWW-Authenticate", `Basic realm="gateway", charset="UTF-8"`)
			refuse(w, &Error{http.StatusUnauthorized, codeUnauthorized, "this needs admin.token as a bearer token"})
			return
		case foreign.Check(r) != nil, isForeign(r) && !isConsole(r):
			refuse(w, &Error{http.StatusForbidden, codeForbidden, "a page of another origin may not do this"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isForeign reports whether a page of another origin has the browser make the
// request. Only browsers send these headers.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none": // none: the user typed the address
		return false
	case "":
		origin := r.Header.Get("Origin")
		_, host, _ := strings.Cut(origin, "://")
		return origin != "" && !strings.EqualFold(host, r.Host)
	}
	return true
}

// isConsole reports whether a request is for the console's page, which others may
// link to.
func isConsole(r *http.Request) bool {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	return read && (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/console/"))
}

// shows reports whether a request holds the token. Hashes are compared, which
// have one length: the time that it takes tells nothing, not even that.
func shows(r *http.Request, token string) bool {
	given, ok := "", false
	if scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		given, ok = strings.TrimSpace(rest), true
	} else {
		_, given, ok = r.BasicAuth()
	}
	hash, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(hash[:], want[:]) == 1 && ok
}

// isLocal reports whether host, of a Host header, is an address or localhost:
// nothing that a foreign name server could give out.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}
