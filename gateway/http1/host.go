package http1

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// validHost checks RFC 9110 7.2: uri-host [ ":" port ]. An empty host is
// refused (RFC 9110 4.2.1), and so are percent-encoding and address zones,
// which no client sends.
func validHost(h []byte) bool {
	if len(h) == 0 || len(h) > 255+len(":65535") {
		return false
	}
	if h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		return end > 0 && validIPv6(h[1:end]) && validPort(h[end+1:])
	}
	name := h
	if i := bytes.IndexByte(h, ':'); i >= 0 {
		name = h[:i]
	}
	return len(name) > 0 && all(name, isHost) && validPort(h[len(name):])
}

// validPort takes nothing, a colon alone (RFC 3986 3.2.3) or a colon and a
// port number.
func validPort(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	if p[0] != ':' || len(p) > len(":65535") {
		return false
	}
	n := 0
	for _, c := range p[1:] {
		if !isDigit(c) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

func validIPv6(a []byte) bool {
	if len(a) == 0 || bytes.IndexByte(a, '%') >= 0 {
		return false
	}
	// The string shares a's bytes, which saves a copy per request to an IPv6
	// literal. ParseAddr keeps it only in its error, dropped here, or as a
	// zone, excluded above.
	addr, err := netip.ParseAddr(unsafe.String(&a[0], len(a)))
	return err == nil && addr.Is6()
}
