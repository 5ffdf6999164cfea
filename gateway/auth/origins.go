package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Origins says from which web pages browsers may connect. It is immutable and
// safe for concurrent use. The patterns:
//
//	https://app.example.com        this origin, on the default port of the scheme
//	https://app.example.com:8443   this origin
//	https://*.example.com          every name below example.com, at any depth,
//	                               but not example.com
//	http://localhost:*             every port
//	null                           pages without an origin: files, sandboxed frames
//	*                              everything, null too
//
// Without patterns a page may connect to the host that it came from, scheme
// aside, because TLS ends in front of the gateway. With patterns, they alone
// count.
type Origins struct {
	any, null bool
	list      []origin
}

// origin is a parsed Origin header or pattern. Names compare without case.
type origin struct {
	scheme, host []byte // in a pattern for all names below a host: ".example.com"
	port         []byte // "*" in a pattern for every port
	below        bool
}

// NewOrigins compiles patterns; its error names each bad one.
func NewOrigins(patterns []string) (*Origins, error) {
	o := &Origins{}
	var errs []error
	for _, p := range patterns {
		switch p {
		case "*":
			o.any = true
		case "null":
			o.null = true
		default:
			parsed, ok := parseOriginPattern(p)
			if !ok {
				errs = append(errs, &ConfigError{"origins", fmt.Sprintf("%q", p),
					`scheme://host, scheme://host:port, scheme://*.host, "null" or "*"`})
				continue
			}
			o.list = append(o.list, parsed)
		}
	}
	return o, errors.Join(errs...)
}

func parseOriginPattern(p string) (origin, bool) {
	every := strings.HasSuffix(p, ":*")
	p = strings.TrimSuffix(p, ":*")
	scheme, host, _ := strings.Cut(p, "://")
	host, below := strings.CutPrefix(host, "*.")
	parsed, ok := parseOrigin([]byte(scheme + "://" + host))
	if !ok {
		return origin{}, false
	}
	if every {
		if _, _, explicit := cutPort([]byte(host)); explicit {
			return origin{}, false
		}
		parsed.port = []byte("*")
	}
	if parsed.below = below; below {
		parsed.host = append([]byte("."), parsed.host...)
	}
	return parsed, true
}

// Allow reports whether a request with this Origin header may connect, where
// host is the request's Host header. A request without Origin comes from a
// program that isn't a browser and could claim any, so it is not refused for
// it. Allow takes no memory.
func (o *Origins) Allow(header, host []byte) bool {
	if len(header) == 0 || o.any {
		return true
	}
	if string(header) == "null" {
		return o.null
	}
	from, ok := parseOrigin(header)
	if !ok {
		return false
	}
	if len(o.list) == 0 {
		return !o.null && sameHost(from, host)
	}
	for i := range o.list {
		if o.list[i].matches(from) {
			return true
		}
	}
	return false
}

func (p *origin) matches(from origin) bool {
	if !bytes.EqualFold(p.scheme, from.scheme) || string(p.port) != "*" && !bytes.Equal(p.port, from.port) {
		return false
	}
	if !p.below {
		return bytes.EqualFold(p.host, from.host)
	}
	cut := len(from.host) - len(p.host)
	return cut > 0 && bytes.EqualFold(p.host, from.host[cut:])
}

// sameHost takes a Host without a port for the default port of the scheme.
// Pages come by http and https; origins of other schemes have no host.
func sameHost(from origin, header []byte) bool {
	if defaultPort(from.scheme) == nil {
		return false
	}
	host, port, explicit := cutPort(header)
	if !explicit {
		port = defaultPort(from.scheme)
	}
	return bytes.EqualFold(from.host, host) && bytes.Equal(from.port, port)
}

// parseOrigin splits a serialized origin (RFC 6454 section 6.2), which is
// ASCII and has neither user, path nor wildcards.
func parseOrigin(text []byte) (origin, bool) {
	scheme, rest, ok := bytes.Cut(text, []byte("://"))
	if !ok || len(scheme) == 0 || bytes.IndexByte(scheme, '*') >= 0 {
		return origin{}, false
	}
	for _, b := range text {
		if b <= ' ' || b >= 0x7f {
			return origin{}, false
		}
	}
	host, port, explicit := cutPort(rest)
	if len(host) == 0 || bytes.ContainsAny(host, "/@?#*,\\") || host[0] != '[' && bytes.IndexByte(host, ':') >= 0 {
		return origin{}, false
	}
	if !explicit {
		port = defaultPort(scheme)
	}
	if explicit && !digits(port) {
		return origin{}, false
	}
	return origin{scheme: scheme, host: host, port: port}, true
}

// cutPort splits host:port; a colon inside the brackets of an IPv6 address is
// none before a port.
func cutPort(s []byte) (host, port []byte, explicit bool) {
	colon := bytes.LastIndexByte(s, ':')
	if colon < 0 || colon < bytes.LastIndexByte(s, ']') {
		return s, nil, false
	}
	return s[:colon], s[colon+1:], true
}

var port80, port443 = []byte("80"), []byte("443")

// defaultPort returns nil for schemes without one, such as an extension's.
func defaultPort(scheme []byte) []byte {
	switch {
	case bytes.EqualFold(scheme, []byte("https")):
		return port443
	case bytes.EqualFold(scheme, []byte("http")):
		return port80
	}
	return nil
}

func digits(s []byte) bool {
	for _, b := range s {
		if b < '0' || b > '9' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 5
}
