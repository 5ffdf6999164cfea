package plan

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseSources(t *testing.T) {
	tests := map[string]struct {
		list string
		want string
	}{
		"one":              {"127.0.0.2", "127.0.0.2"},
		"list":             {"127.0.0.2, 127.0.0.4", "127.0.0.2 127.0.0.4"},
		"range":            {"127.0.0.2-127.0.0.5", "127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5"},
		"range of one":     {"127.0.0.2-127.0.0.2", "127.0.0.2"},
		"range over bytes": {"127.0.0.254-127.0.1.1", "127.0.0.254 127.0.0.255 127.0.1.0 127.0.1.1"},
		"prefix":           {"127.1.0.0/29", "127.1.0.1 127.1.0.2 127.1.0.3 127.1.0.4 127.1.0.5 127.1.0.6"},
		"prefix in middle": {"127.1.0.5/30", "127.1.0.5 127.1.0.6"},
		"point to point":   {"127.1.0.0/31", "127.1.0.0 127.1.0.1"},
		"host prefix":      {"127.1.0.7/32", "127.1.0.7"},
		"doubled":          {"127.0.0.2,127.0.0.2-127.0.0.3", "127.0.0.2 127.0.0.3"},
		"ipv6":             {"::1", "::1"},
		"ipv6 prefix":      {"fd00::/127", "fd00:: fd00::1"},
		"mapped":           {"::ffff:127.0.0.2", "127.0.0.2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseSources(tt.list)
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, a := range got {
				words = append(words, a.String())
			}
			if s := strings.Join(words, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestParseSourcesRefuses(t *testing.T) {
	tests := map[string]struct{ list, want string }{
		"empty":          {"", "not an IP address"},
		"trailing comma": {"127.0.0.2,", "not an IP address"},
		"name":           {"localhost", "not an IP address"},
		"half range":     {"127.0.0.2-", "not an IP address"},
		"short range":    {"127.0.0.2-9", "not an IP address"},
		"backwards":      {"127.0.0.9-127.0.0.2", "ends before it starts"},
		"mixed":          {"127.0.0.2-::1", "from IPv4 to IPv6"},
		"bad prefix":     {"127.0.0.0/33", "not a prefix"},
		"wide prefix":    {"127.0.0.0/8", "more than 65536"},
		"wide range":     {"127.0.0.0-127.9.0.0", "more than 65536"},
		"zone":           {"fe80::1%lo", "not an IP address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseSources(tt.list)
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q doesn't say %q", err, tt.want)
			}
		})
	}
}

func TestDefaultSources(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	got := defaultSources(loopback, 60000, 28232)
	if len(got) != 7 || got[0] != loopback || got[6] != netip.MustParseAddr("127.0.0.7") {
		t.Errorf("60000 clients from %v", got)
	}
	if got := defaultSources(netip.MustParseAddr("192.0.2.1"), 60000, 28232); len(got) != 1 || got[0].IsValid() {
		t.Errorf("a remote target from %v, want the kernel's choice", got)
	}
}

func FuzzParseSources(f *testing.F) {
	for _, s := range []string{"127.0.0.2-127.0.0.9", "127.1.0.0/28,::1", "fd00::/120", "255.255.255.255/32", "::-::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseSources(s)
		if err != nil {
			return
		}
		if len(got) == 0 || len(got) > MaxSources {
			t.Fatalf("%q: %d addresses", s, len(got))
		}
		seen := make(map[netip.Addr]bool)
		for _, a := range got {
			if !a.IsValid() || seen[a] {
				t.Fatalf("%q: %v is invalid or doubled", s, a)
			}
			seen[a] = true
		}
	})
}
