package proxy

import (
	"fmt"
	"net/netip"
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

// Contains reports whether a peer is trusted; the zero address stands for the
// peer of a unix socket.
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
