package proxy

import (
	"net/netip"
	"testing"
)

func networks(t *testing.T, list ...string) Networks {
	t.Helper()
	n, err := ParseNetworks(list)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestParseNetworksRefuses(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "example.com", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.1:80", "UNIX"} {
		if n, err := ParseNetworks([]string{"10.0.0.0/8", bad}); err == nil || !n.None() {
			t.Errorf("%q: %+v, %v", bad, n, err)
		}
	}
}

func TestContains(t *testing.T) {
	n := networks(t, "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.1")
	for ip, want := range map[string]bool{
		"10.255.0.1": true, "11.0.0.1": false, "192.0.2.7": true, "192.0.2.8": false,
		"2001:db8:1::1": true, "2001:db9::1": false, "::ffff:10.0.0.1": true, "198.51.100.1": true,
	} {
		if got := n.Contains(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if n.Contains(netip.Addr{}) || !networks(t, Unix).Contains(netip.Addr{}) {
		t.Error("the peers of a unix socket are trusted by the word unix, and by nothing else")
	}
	if !networks(t).None() || networks(t, Unix).None() || n.None() {
		t.Error("None")
	}
}

func TestForwarded(t *testing.T) {
	n := networks(t, "10.0.0.0/8")
	for name, test := range map[string]struct {
		values []string
		want   string // "" for none
	}{
		"none":                       {nil, ""},
		"one":                        {[]string{"1.2.3.4"}, "1.2.3.4"},
		"a lie of the client's":      {[]string{"8.8.8.8, 1.2.3.4"}, "1.2.3.4"},
		"through two proxies":        {[]string{"8.8.8.8,1.2.3.4 ,\t10.0.0.2"}, "1.2.3.4"},
		"over two headers":           {[]string{"8.8.8.8, 1.2.3.4", "10.0.0.2"}, "1.2.3.4"},
		"a lie of a trusted address": {[]string{"10.0.0.9, 1.2.3.4"}, "1.2.3.4"},
		"from inside":                {[]string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"with a port":                {[]string{"1.2.3.4:5678"}, "1.2.3.4"},
		"IPv6":                       {[]string{"2001:db8::1"}, "2001:db8::1"},
		"IPv6 with a port":           {[]string{"[2001:db8::1]:5678"}, "2001:db8::1"},
		"IPv6 in brackets":           {[]string{"[2001:db8::1]"}, "2001:db8::1"},
		"mapped":                     {[]string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		"no address":                 {[]string{"1.2.3.4, unknown"}, ""},
		"nothing before a proxy":     {[]string{"not an address, 10.0.0.2"}, ""},
		"empty":                      {[]string{""}, ""},
		"a lie behind an address":    {[]string{"garbage, 1.2.3.4"}, "1.2.3.4"},
	} {
		t.Run(name, func(t *testing.T) {
			got := n.Forwarded(test.values)
			if test.want == "" && got.IsValid() || test.want != "" && got.String() != test.want {
				t.Errorf("got %v, want %q", got, test.want)
			}
		})
	}
}

// FuzzForwarded holds that what a client sends never counts behind what the
// first trusted proxy appended.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "10.0.0.1, [::1]:5", "unknown,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		n := networks(t, "10.0.0.0/8")
		client := netip.MustParseAddr("192.0.2.1")
		if got := n.Forwarded([]string{sent + ", 192.0.2.1, 10.1.1.1"}); got != client {
			t.Fatalf("%q made the client %v", sent, got)
		}
		if got := n.Forwarded([]string{sent, "192.0.2.1"}); got != client {
			t.Fatalf("%q made the client %v", sent, got)
		}
		n.Forwarded([]string{sent})
	})
}
