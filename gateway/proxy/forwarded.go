package proxy

import (
	"net/netip"
	"strings"
)

// Header is the name of the request header in which trusted proxies say for whom
// they speak, in lower case.
type Header string

const (
	XForwardedFor  Header = "x-forwarded-for"
	Forwarded      Header = "forwarded" // RFC 7239
	XRealIP        Header = "x-real-ip"
	CFConnectingIP Header = "cf-connecting-ip"
	TrueClientIP   Header = "true-client-ip"
)

// Headers are all values of Header.
var Headers = []string{string(XForwardedFor), string(Forwarded), string(XRealIP), string(CFConnectingIP), string(TrueClientIP)}

// Client returns the client's address by the values of header h, in the order of
// the request. It isn't valid where the header says nothing, or where a trusted
// proxy passes on anything but an address.
//
// Only the entry of a trusted proxy is true, and a proxy appends: to the last line,
// or as one more. So lists are read from their end, and no text before an entry can
// change it (FuzzClient).
func (n Networks) Client(h Header, values []string) netip.Addr {
	switch h {
	case XForwardedFor:
		return n.outermost(values, cutItem, hop)
	case Forwarded:
		return n.outermost(values, cutElement, forwardedFor)
	}
	// The other headers hold the one address that the nearest proxy knows.
	if len(values) == 0 {
		return netip.Addr{}
	}
	_, item, _ := cutItem(values[len(values)-1])
	ip, _ := hop(item)
	return ip
}

// outermost returns the rightmost address that isn't trusted. Where all are
// trusted it is the leftmost. cut takes the last item off a value, read gets its
// address.
func (n Networks) outermost(values []string, cut func(string) (rest, item string, more bool), read func(string) (netip.Addr, bool)) (client netip.Addr) {
	for i := len(values) - 1; i >= 0; i-- {
		for rest, more := values[i], true; more; {
			var item string
			rest, item, more = cut(rest)
			ip, ok := read(item)
			if !ok {
				return netip.Addr{}
			}
			client = ip
			if !n.Contains(ip) {
				return client
			}
		}
	}
	return client
}

// cutItem cuts the last item off a list with commas.
func cutItem(list string) (rest, item string, more bool) {
	at := strings.LastIndexByte(list, ',')
	if at >= 0 {
		rest, more = list[:at], true
	}
	return rest, strings.Trim(list[at+1:], " \t"), more
}

// cutElement cuts the last element off a Forwarded header. Its values may be
// quoted (RFC 7239, 4), and a comma within quotes ends none.
func cutElement(list string) (rest, element string, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && !(quoted && escaped(list, i)):
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], strings.Trim(list[i+1:], " \t"), true
		}
	}
	return "", strings.Trim(list, " \t"), false
}

// escaped reports whether an odd number of backslashes stand before s[i].
func escaped(s string, i int) bool {
	k := i
	for k > 0 && s[k-1] == '\\' {
		k--
	}
	return (i-k)%2 == 1
}

// forwardedFor returns the address in the for parameter of an element. Obfuscated
// names and "unknown" (RFC 7239, 6) are none; a port may be obfuscated too.
func forwardedFor(element string) (netip.Addr, bool) {
	for more := true; more; {
		var pair string
		pair, element, more = cutPair(element)
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		value = strings.Trim(value, " \t")
		if inner, ok := strings.CutPrefix(value, `"`); ok {
			value = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `\`, "") // no address has a backslash
		}
		value, _, _ = strings.Cut(value, ":_") // an obfuscated port
		return hop(value)
	}
	return netip.Addr{}, false
}

// cutPair cuts the first parameter off an element.
func cutPair(element string) (pair, rest string, more bool) {
	quoted := false
	for i := range len(element) {
		switch {
		case element[i] == '"' && !(quoted && escaped(element, i)):
			quoted = !quoted
		case element[i] == ';' && !quoted:
			return element[:i], element[i+1:], true
		}
	}
	return element, "", false
}

// hop reads an address; some proxies append the port.
func hop(item string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(item)
	if err != nil {
		var at netip.AddrPort
		if at, err = netip.ParseAddrPort(item); err == nil {
			ip = at.Addr()
		}
	}
	if host, ok := strings.CutPrefix(item, "["); err != nil && ok {
		ip, err = netip.ParseAddr(strings.TrimSuffix(host, "]"))
	}
	return ip.Unmap().WithZone(""), err == nil
}
