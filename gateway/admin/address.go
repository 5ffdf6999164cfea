package admin

import (
	"net/netip"
	"strings"
)

// AddressFilter chooses addresses: a network (10.0.0.0/8), one address, one
// address with its port, or the beginning of such a text (10.1. or [2001:db8:).
// The zero value matches all.
type AddressFilter struct {
	network netip.Prefix
	text    string
}

// addressBytes are what addresses are written with.
const addressBytes = "0123456789abcdef.:[]%"

func parseAddress(text string) (AddressFilter, error) {
	if text == "" {
		return AddressFilter{}, nil
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		return AddressFilter{network: network.Masked()}, nil
	}
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return AddressFilter{network: netip.PrefixFrom(address, address.BitLen())}, nil
	}
	text = strings.ToLower(text)
	if strings.Trim(text, addressBytes) != "" {
		return AddressFilter{}, badRequest("address is a network such as 10.0.0.0/8, an address, or the beginning of one")
	}
	return AddressFilter{text: text}, nil
}

// All reports whether every address matches, so that none need be asked for.
func (f AddressFilter) All() bool { return f == AddressFilter{} }

// Match reports whether an address is meant.
func (f AddressFilter) Match(a netip.AddrPort) bool {
	switch {
	case f.All():
		return true
	case !a.IsValid():
		return false
	case f.network.IsValid():
		return f.network.Contains(a.Addr().WithZone(""))
	}
	return strings.HasPrefix(a.String(), f.text)
}
