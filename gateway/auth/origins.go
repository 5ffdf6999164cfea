package auth

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
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
//	capacitor://localhost          an app or an extension, by a scheme of its own
//	moz-extension://*              every name of such a scheme: each installation has its own
//	file://                        files, in apps that name them so
//	null                           pages without an origin: files, sandboxed frames
//	*                              everything, null too
//
// Without patterns a page may connect to the host that it came from, scheme
// aside, because TLS ends in front of the gateway. With patterns, they alone
// count.
type Origins struct {
	any, null bool
	list      []origin
	names     map[string]string // of those without a wildcard, as browsers spell them
	unnamed   []string          // the other patterns
}

// origin is a parsed Origin header or pattern. Names compare without case.
type origin struct {
	scheme, host []byte // in a pattern for all names below a host: ".example.com"
	port         []byte // "*" in a pattern for every port
	below        bool
	whole        bool // a pattern for the whole scheme
}

// NewOrigins compiles patterns; its error names each bad one.
func NewOrigins(patterns []string) (*Origins, error) {
	o := &Origins{names: make(map[string]string)}
	var errs []error
	for _, p := range patterns {
		switch p {
		case "*":
			o.any = true
			o.unnamed = append(o.unnamed, p)
		case "null":
			o.null = true
			o.unnamed = append(o.unnamed, p)
		default:
			parsed, ok := parseOriginPattern(p)
			want := impossible(&parsed)
			if !ok {
				want = `scheme://host, scheme://host:port, scheme://*.host, "file://", "null" or "*"`
			}
			if rest, found := strings.CutSuffix(p, "/"); found && !strings.HasSuffix(rest, "/") {
				want = "the origin without the slash behind it"
			}
			if want != "" {
				errs = append(errs, &ConfigError{Key: "origins", Value: fmt.Sprintf("%q", p), Want: want})
				continue
			}
			o.list = append(o.list, parsed)
			if name := parsed.name(); name != "" {
				o.names[name] = name
			} else {
				o.unnamed = append(o.unnamed, p)
			}
		}
	}
	return o, errors.Join(errs...)
}

// impossible returns the right form of a pattern that no browser's header matches,
// "" for one that can match.
func impossible(p *origin) string {
	scheme, host, port := strings.ToLower(string(p.scheme)), string(p.host), string(p.port)
	if scheme == "ws" || scheme == "wss" {
		return "the origin of the page, which is http:// or https://"
	}
	if number, err := strconv.ParseUint(port, 10, 16); port != "" && port != "*" && (err != nil || number == 0 || port[0] == '0') {
		return "a port from 1 to 65535"
	}
	if defaultPort(p.scheme) == nil {
		return "" // an extension's host is any text
	}
	if strings.Trim(host, "0123456789.") != "" && host[0] != '[' {
		return ""
	}
	// Browsers write an address in one way only.
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil || ip.Zone() != "" || ip.Is4() && host != ip.String() || ip.Is6() && !strings.EqualFold(host, "["+ip.String()+"]") && !ip.Is4In6() {
		return "a name, or an address in its usual form"
	}
	return ""
}

func parseOriginPattern(p string) (origin, bool) {
	if scheme, ok := strings.CutSuffix(p, "://*"); ok {
		// Of http and https that would be the whole web, which is *.
		parsed, ok := parseOrigin([]byte(scheme + "://"))
		parsed.whole = true
		return parsed, ok
	}
	every := strings.HasSuffix(p, ":*")
	p = strings.TrimSuffix(p, ":*")
	scheme, host, ok := strings.Cut(p, "://")
	if !ok {
		return origin{}, false
	}
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
	if host == "" && (every || below) {
		return origin{}, false
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

// Name returns an allowed origin that a pattern without a wildcard names, empty
// for others: whom the operator names may send cookies. null is nobody's name,
// since every page can make a frame with that origin. Name takes no memory.
func (o *Origins) Name(header []byte) string { return o.names[string(header)] }

// Unnamed returns the patterns whose origins have no Name: those with a wildcard, and null.
func (o *Origins) Unnamed() []string { return o.unnamed }

// name returns the origin that a pattern names as a browser spells it in the
// header, which it compares with the answer to the byte.
func (p *origin) name() string {
	if p.below || p.whole || string(p.port) == "*" {
		return ""
	}
	host := p.host
	if defaultPort(p.scheme) != nil {
		host = bytes.ToLower(host) // elsewhere, as of an extension, its case is kept
	}
	name := append(append(bytes.ToLower(p.scheme), "://"...), host...)
	if !bytes.Equal(p.port, defaultPort(p.scheme)) {
		name = append(append(name, ':'), p.port...)
	}
	return string(name)
}

func (p *origin) matches(from origin) bool {
	if !bytes.EqualFold(p.scheme, from.scheme) {
		return false
	}
	if p.whole {
		return len(from.host) > 0
	}
	if string(p.port) != "*" && !bytes.Equal(p.port, from.port) {
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
// ASCII and has neither user, path nor wildcards. Only a web page's must
// have a host: a file's is file://.
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
	if len(host) == 0 && (explicit || defaultPort(scheme) != nil) {
		return origin{}, false
	}
	if bytes.ContainsAny(host, "/@?#*,\\") || !bytes.HasPrefix(host, []byte("[")) && bytes.IndexByte(host, ':') >= 0 {
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
