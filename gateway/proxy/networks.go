package proxy

import (
	"fmt"
	"net/netip"
	"strings"
)

// Unix stands among networks for the peers of a unix socket, which have no
// address.
const Unix = "unix"

// Networks are those whose word about others is taken. The zero value trusts
// nobody.
type Networks struct {
	prefixes []netip.Prefix
	unix     bool
}

// ParseNetworks reads addresses, networks such as 10.0.0.0/8, and Unix.
func ParseNetworks(list []string) (n Networks, err error) {
	for _, item := range list {
		if item == Unix {
			n.unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if ip, ipErr := netip.ParseAddr(item); ipErr == nil && ip.Zone() == "" {
			prefix, err = ip.Unmap().Prefix(ip.Unmap().BitLen())
		}
		if err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
			return Networks{}, fmt.Errorf("%q is no address, network or %q", item, Unix)
		}
		n.prefixes = append(n.prefixes, prefix)
	}
	return n, nil
}

// None reports that nobody is trusted.
func (n Networks) None() bool { return len(n.prefixes) == 0 && !n.unix }

// Contains reports whether a peer is trusted; the zero address is that of a
// unix socket's.
func (n Networks) Contains(ip netip.Addr) bool {
	if !ip.IsValid() {
		return n.unix
	}
	ip = ip.Unmap()
	for _, p := range n.prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// Forwarded returns the client's address by the values of X-Forwarded-For, in
// the order of the request: the rightmost address that isn't trusted, for only
// what a trusted proxy has appended is true. Where all are trusted it is the
// leftmost. It isn't valid where the header says nothing, or where a trusted
// proxy passes on what is no address.
func (n Networks) Forwarded(values []string) (client netip.Addr) {
	for i := len(values) - 1; i >= 0; i-- {
		for rest, more := values[i], true; more; {
			var item string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, item = rest[:at], rest[at+1:]
			} else {
				item, more = rest, false
			}
			ip, ok := hop(strings.Trim(item, " \t"))
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

// hop reads one item: an address, some proxies append the port.
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
