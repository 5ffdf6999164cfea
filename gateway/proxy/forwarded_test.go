package proxy

import (
	"net/netip"
	"testing"
)

func TestClient(t *testing.T) {
	n := networks(t, "10.0.0.0/8", "2001:db8:ffff::/48")
	single := map[string]struct {
		values []string
		want   string
	}{
		"none":                      {nil, ""},
		"one":                       {[]string{"1.2.3.4"}, "1.2.3.4"},
		"IPv6":                      {[]string{"2001:db8::1"}, "2001:db8::1"},
		"with a port":               {[]string{"1.2.3.4:5"}, "1.2.3.4"},
		"a proxy's":                 {[]string{"10.0.0.2"}, "10.0.0.2"},
		"a line of the client's":    {[]string{"8.8.8.8", "1.2.3.4"}, "1.2.3.4"},
		"a value of the client's":   {[]string{"8.8.8.8, 1.2.3.4"}, "1.2.3.4"},
		"a lie before a proxy":      {[]string{"8.8.8.8", "10.0.0.2"}, "10.0.0.2"},
		"a lie beside a proxy":      {[]string{"8.8.8.8, 10.0.0.2"}, "10.0.0.2"},
		"no address":                {[]string{"unknown"}, ""},
		"no address behind one":     {[]string{"1.2.3.4", "unknown"}, ""},
		"empty":                     {[]string{""}, ""},
		"no syntax of Forwarded":    {[]string{"for=1.2.3.4"}, ""},
		"a zone":                    {[]string{"fe80::1%eth0"}, "fe80::1"},
		"an address with a comment": {[]string{"1.2.3.4 (me)"}, ""},
	}
	for header, cases := range map[Header]map[string]struct {
		values []string
		want   string // "" for none
	}{
		XForwardedFor: {
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
		},
		Forwarded: {
			"none":                        {nil, ""},
			"one":                         {[]string{"for=1.2.3.4"}, "1.2.3.4"},
			"among others":                {[]string{`proto=https;For=1.2.3.4;by=203.0.113.43;host="a;b,c"`}, "1.2.3.4"},
			"quoted":                      {[]string{`for="1.2.3.4:47011"`}, "1.2.3.4"},
			"IPv6":                        {[]string{`for="[2001:db8:cafe::17]"`}, "2001:db8:cafe::17"},
			"IPv6 with a port":            {[]string{`for="[2001:db8:cafe::17]:4711";proto=http`}, "2001:db8:cafe::17"},
			"with an obfuscated port":     {[]string{`for="1.2.3.4:_http"`}, "1.2.3.4"},
			"IPv6 with such a port":       {[]string{`for="[2001:db8:cafe::17]:_4711"`}, "2001:db8:cafe::17"},
			"obfuscated with such a port": {[]string{`for="_hidden:_4711"`}, ""},
			"IPv6 without quotes":         {[]string{`for=[2001:db8:cafe::17]:4711`}, "2001:db8:cafe::17"},
			"escaped":                     {[]string{`for="\1.2\.3.4"`}, "1.2.3.4"},
			"with spaces":                 {[]string{` for=8.8.8.8 , proto=https ; for = "1.2.3.4" `}, "1.2.3.4"},
			"a lie of the client's":       {[]string{"for=8.8.8.8, for=1.2.3.4"}, "1.2.3.4"},
			"through two proxies":         {[]string{`for=8.8.8.8, for="1.2.3.4", for=10.0.0.2;proto=http`}, "1.2.3.4"},
			"over two headers":            {[]string{"for=8.8.8.8, for=1.2.3.4", `for="[2001:db8:ffff::1]"`}, "1.2.3.4"},
			"from inside":                 {[]string{"for=10.0.0.3, for=10.0.0.2"}, "10.0.0.3"},
			"unknown":                     {[]string{"for=1.2.3.4, for=unknown"}, ""},
			"obfuscated":                  {[]string{`for=1.2.3.4, for="_hidden"`}, ""},
			"no for":                      {[]string{"for=1.2.3.4, proto=https"}, ""},
			"an open quote before":        {[]string{`for="8.8.8.8, for=1.2.3.4`}, "1.2.3.4"},
			"an open quote in a line":     {[]string{`for="8.8.8.8`, "for=1.2.3.4"}, "1.2.3.4"},
			"a backslash before":          {[]string{`for=\, for="1.2.3.4"`}, "1.2.3.4"},
			"a for within a quoted value": {[]string{`by="x;for=8.8.8.8";for=1.2.3.4`}, "1.2.3.4"},
			"a name that ends in it":      {[]string{"xfor=8.8.8.8;for=1.2.3.4"}, "1.2.3.4"},
			"no pair":                     {[]string{"1.2.3.4"}, ""},
			"empty":                       {[]string{""}, ""},
		},
		XRealIP: single, CFConnectingIP: single, TrueClientIP: single,
	} {
		for name, test := range cases {
			t.Run(string(header)+" "+name, func(t *testing.T) {
				got := n.Client(header, test.values)
				if test.want == "" && got.IsValid() || test.want != "" && got.String() != test.want {
					t.Errorf("got %v, want %q", got, test.want)
				}
			})
		}
	}
}

// FuzzClient holds that a header of the client never counts behind the entry that
// the first trusted proxy appended.
func FuzzClient(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "10.0.0.1, [::1]:5", "unknown,,", `for="1.2.3.4`, `for="a\`, `for=_x;by="`, "for=10.0.0.1,"} {
		f.Add(s)
	}
	n := networks(f, "10.0.0.0/8")
	client := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, sent string) {
		for header, appended := range map[Header][]string{
			XForwardedFor:  {sent + ", 192.0.2.1, 10.1.1.1"},
			Forwarded:      {sent + `, for="192.0.2.1:80";by="a,b;for=1.1.1.1", for=10.1.1.1`},
			XRealIP:        {sent + ", 192.0.2.1"},
			CFConnectingIP: {sent, "192.0.2.1"},
		} {
			if got := n.Client(header, appended); got != client {
				t.Fatalf("%s: %q made the client %v", header, sent, got)
			}
		}
		for header, own := range map[Header]string{XForwardedFor: "192.0.2.1", Forwarded: "for=192.0.2.1", TrueClientIP: "192.0.2.1"} {
			if got := n.Client(header, []string{sent, own}); got != client {
				t.Fatalf("%s: %q made the client %v", header, sent, got)
			}
			n.Client(header, []string{sent})
		}
	})
}
