package admin

import (
	"net/netip"
	"testing"
)

func TestAddressFilter(t *testing.T) {
	for name, test := range map[string]struct {
		filter  string
		address string
		want    bool
	}{
		"all":                      {"", "10.1.0.1:4711", true},
		"all, even unix":           {"", "", true},
		"network":                  {"10.0.0.0/8", "10.1.0.1:4711", true},
		"network with host bits":   {"10.9.9.9/8", "10.1.0.1:4711", true},
		"other network":            {"11.0.0.0/8", "10.1.0.1:4711", false},
		"network and unix":         {"0.0.0.0/0", "", false},
		"IPv6 network":             {"2001:db8::/32", "[2001:db8::1]:4711", true},
		"address":                  {"10.1.0.1", "10.1.0.1:4711", true},
		"not a prefix of the text": {"10.1.0.1", "10.1.0.10:4711", false},
		"mapped address":           {"::ffff:10.1.0.1", "10.1.0.1:4711", true},
		"address and port":         {"10.1.0.1:4711", "10.1.0.1:4711", true},
		"another port":             {"10.1.0.1:4712", "10.1.0.1:4711", false},
		"beginning":                {"10.1.", "10.1.0.1:4711", true},
		"IPv6 beginning":           {"[2001:DB8:", "[2001:db8::1]:4711", true},
		"another beginning":        {"10.2.", "10.1.0.1:4711", false},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := parseAddress(test.filter)
			if err != nil {
				t.Fatal(err)
			}
			var a netip.AddrPort
			if test.address != "" {
				a = netip.MustParseAddrPort(test.address)
			}
			if got := f.Match(a); got != test.want {
				t.Errorf("%q matches %q: %v", test.filter, test.address, got)
			}
		})
	}
	for _, text := range []string{"example.com", "10.0.0.0/33 ", "10.*"} {
		if f, err := parseAddress(text); err == nil {
			t.Errorf("%q is taken for %+v", text, f)
		}
	}
}
