package limit

import (
	"net/netip"
	"testing"
)

func TestAddressKey(t *testing.T) {
	for name, test := range map[string]struct {
		a, b  string
		alike bool
	}{
		"one host":          {"192.0.2.1", "192.0.2.1", true},
		"neighbours":        {"192.0.2.1", "192.0.2.2", false},
		"mapped":            {"192.0.2.1", "::ffff:192.0.2.1", true},
		"one /64":           {"2001:db8:0:1::1", "2001:db8:0:1:ffff::", true},
		"neighbouring /64s": {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		"IPv4 and IPv6":     {"192.0.2.1", "2001:db8::192.0.2.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := AddressKey(netip.MustParseAddr(test.a)), AddressKey(netip.MustParseAddr(test.b))
			if (a == b) != test.alike {
				t.Errorf("%x and %x", a, b)
			}
		})
	}
}
