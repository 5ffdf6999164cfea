package proxy

import (
	"net/netip"
	"testing"
)

func networks(t testing.TB, list ...string) Networks {
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
