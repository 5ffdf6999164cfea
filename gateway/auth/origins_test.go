package auth

import (
	"slices"
	"strings"
	"testing"
)

func TestOriginsAllow(t *testing.T) {
	type request struct{ origin, host string }
	for name, tt := range map[string]struct {
		patterns []string
		yes, no  []request
	}{
		"same host": {
			nil,
			[]request{
				{"", "push.example.com"}, {"https://push.example.com", "push.example.com"}, {"http://push.example.com", "push.example.com"},
				{"https://push.example.com", "PUSH.example.com:443"}, {"http://push.example.com", "push.example.com:80"},
				{"http://localhost:8080", "localhost:8080"}, {"http://[::1]:8080", "[::1]:8080"}, {"http://[::1]", "[::1]"},
			},
			[]request{
				{"https://example.com", "push.example.com"}, {"https://push.example.com.evil.com", "push.example.com"},
				{"https://push.example.com:8443", "push.example.com"}, {"https://push.example.com", "push.example.com:8443"},
				{"http://push.example.com", "push.example.com:443"}, {"http://localhost:3000", "localhost:8080"},
				{"null", "null"}, {"null", ""}, {"https://", ""}, {"https://a", ""},
				{"ftp://push.example.com", "push.example.com"}, {"chrome-extension://abc", "abc"},
				{"https://user@push.example.com", "push.example.com"}, {"https://push.example.com/", "push.example.com"},
				{"push.example.com", "push.example.com"}, {"https://push.example.com https://evil", "push.example.com"},
				{"https://push.example.com:", "push.example.com"}, {"https://push.example.com:443x", "push.example.com:443x"},
			},
		},
		"everything": {
			[]string{"*"},
			[]request{{"https://anything", "push"}, {"null", "push"}, {"", ""}, {"rubbish", ""}},
			nil,
		},
		"null": {
			[]string{"null"},
			[]request{{"null", "push"}, {"", "push"}},
			[]request{{"https://push", "push"}, {"Null", "push"}},
		},
		"exact": {
			[]string{"https://app.example.com", "http://dev:3000"},
			[]request{{"https://app.example.com", "push"}, {"https://APP.example.com", "push"}, {"https://app.example.com:443", ""}, {"http://dev:3000", ""}},
			[]request{
				{"http://app.example.com", ""}, {"https://app.example.com:8443", ""}, {"https://xapp.example.com", ""}, {"https://app.example.com.evil", ""},
				{"http://dev", ""}, {"http://dev:30000", ""}, {"https://push", "push"}, {"null", ""}, {"https://app.example.co\u212a", ""},
			},
		},
		"below": {
			[]string{"https://*.example.com"},
			[]request{{"https://a.example.com", ""}, {"https://a.b.example.com", ""}, {"https://a.EXAMPLE.com:443", ""}},
			[]request{
				{"https://example.com", ""}, {"https://.example.com", ""}, {"https://aexample.com", ""}, {"https://evil.com/.example.com", ""},
				{"https://a.example.com.evil.com", ""}, {"http://a.example.com", ""}, {"https://a.example.com:8443", ""}, {"https://evil#.example.com", ""},
				{"https://evil\\.example.com", ""}, {"https://evil:1@.example.com", ""}, {"https://evil:80.example.com", ""},
			},
		},
		"every port": {
			[]string{"http://localhost:*", "https://*.dev:*", "http://[::1]:*"},
			[]request{{"http://localhost", ""}, {"http://localhost:1", ""}, {"https://x.dev:65535", ""}, {"http://[::1]:99", ""}},
			[]request{{"https://localhost:1", ""}, {"http://localhost:x", ""}, {"https://dev:1", ""}, {"http://[::2]:99", ""}},
		},
		"extension": {
			[]string{"chrome-extension://abcdef"},
			[]request{{"chrome-extension://abcdef", ""}},
			[]request{{"chrome-extension://abcde", ""}, {"https://abcdef", ""}},
		},
		"files": {
			[]string{"file://"},
			[]request{{"file://", "push"}, {"FILE://", ""}},
			[]request{{"null", ""}, {"file:", ""}, {"file:///", ""}, {"file://host", ""}, {"file://:80", ""}, {"files://", ""}, {"https://push", "push"}},
		},
		"apps": {
			[]string{"capacitor://localhost", "ionic://localhost", "app://.", "safari-web-extension://E4B2-C1F5", "tauri://localhost"},
			[]request{{"capacitor://localhost", ""}, {"ionic://localhost", ""}, {"app://.", ""}, {"safari-web-extension://E4B2-C1F5", ""}, {"tauri://localhost", ""}},
			[]request{{"capacitor://localhost:1", ""}, {"capacitor://", ""}, {"http://localhost", ""}, {"app://", ""}, {"app://..", ""}, {"ionic://local", ""}},
		},
		"every extension": {
			[]string{"moz-extension://*"},
			[]request{{"moz-extension://9c5f-11", ""}, {"moz-extension://x", "push"}},
			[]request{{"moz-extension://", ""}, {"chrome-extension://x", ""}, {"moz-extension://x/y", ""}, {"https://x", ""}, {"null", ""}, {"file://", ""}},
		},
		"not by the host": {
			nil,
			[]request{{"https://push", "push"}},
			[]request{{"file://", ""}, {"file://", "push"}, {"capacitor://push", "push"}, {"app://", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := NewOrigins(tt.patterns)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range tt.yes {
				if !o.Allow([]byte(r.origin), []byte(r.host)) {
					t.Errorf("origin %q on host %q is refused", r.origin, r.host)
				}
			}
			for _, r := range tt.no {
				if o.Allow([]byte(r.origin), []byte(r.host)) {
					t.Errorf("origin %q on host %q is allowed", r.origin, r.host)
				}
			}
		})
	}
}

func TestOriginsRefusesPatterns(t *testing.T) {
	bad := []string{
		"", "example.com", "*.example.com", "https://", "https://*", "http://*", "://*", "x://*:*", "file://:*", "app://*.", "https://:443", "https://a.*.com", "https://*example.com", "*://example.com",
		"https://example.com/", "https://example.com:x", "https://example.com:1:*", "https://example.com:123456", "https://a b",
		"https://a,https://b", "http://::1:80", "https://ex\u00e4mple.com", "NULL",
		// No browser's header matches these.
		"ws://example.com", "wss://*.example.com", "https://example.com:99999", "https://example.com:0", "https://example.com:0443",
		"http://127.0.0.256", "http://127.1:80", "http://[::01]", "http://[0:0::1]:80", "http://[fe80::1%25eth0]", "http://[]",
	}
	for _, p := range bad {
		t.Run(p, func(t *testing.T) {
			if _, err := NewOrigins([]string{p}); err == nil {
				t.Error("was accepted")
			}
		})
	}
	_, err := NewOrigins(append([]string{"https://fine"}, bad...))
	if err == nil || len(strings.Split(err.Error(), "\n")) != len(bad) {
		t.Errorf("want an error for each bad pattern, got %v", err)
	}
	if want := `origins: "" is not allowed, want scheme://host`; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestOriginNames(t *testing.T) {
	o, err := NewOrigins([]string{"HTTPS://App.example.com:443", "http://dev:3000", "http://dev:80", "http://[::1]:8080", "app://Host", "file://", "moz-extension://*", "http://localhost:*",
		"https://*.example.org", "null", "*"})
	if err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{"https://app.example.com", "http://dev:3000", "http://dev", "http://[::1]:8080", "app://Host", "file://"} {
		if got := o.Name([]byte(named)); got != named || !o.Allow([]byte(named), nil) {
			t.Errorf("%s: %q", named, got)
		}
	}
	for _, other := range []string{"", "null", "*", "http://localhost:3000", "http://localhost:*", "https://a.example.org", "https://*.example.org", "moz-extension://x", "https://else", "HTTPS://app.example.com"} {
		if got := o.Name([]byte(other)); got != "" {
			t.Errorf("%s: %q", other, got)
		}
	}
	want := []string{"moz-extension://*", "http://localhost:*", "https://*.example.org", "null", "*"}
	if got := o.Unnamed(); !slices.Equal(got, want) {
		t.Errorf("without a name: %q, want %q", got, want)
	}
}

func FuzzOrigin(f *testing.F) {
	o, err := NewOrigins([]string{"https://*.example.com", "https://app.example.org:8443"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://a.example.com", "push")
	f.Add("https://app.example.org:8443", "push")
	f.Fuzz(func(t *testing.T, origin, host string) {
		if !o.Allow([]byte(origin), []byte(host)) || origin == "" {
			return
		}
		s := strings.TrimSuffix(strings.ToLower(origin), ":443")
		below := strings.HasPrefix(s, "https://") && strings.HasSuffix(s, ".example.com") && !strings.ContainsAny(s[8:], "/:@?# \\")
		if !below && s != "https://app.example.org:8443" {
			t.Errorf("allowed %q", origin)
		}
	})
}

func TestOriginsTakesNoMemory(t *testing.T) {
	some, err := NewOrigins([]string{"https://x.example.org", "https://*.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	origin, host := []byte("https://a.example.com"), []byte("push.example.com")
	for name, o := range map[string]*Origins{"patterns": some, "same host": {}} {
		if got := testing.AllocsPerRun(100, func() { o.Allow(origin, host); o.Name(origin) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// An address is refused with the right form.
func TestOriginsSayWhatToWrite(t *testing.T) {
	for p, want := range map[string]string{
		"https://example.com/":      "the origin without the slash behind it",
		"wss://example.com":         "the origin of the page, which is http:// or https://",
		"https://example.com:99999": "a port from 1 to 65535",
		"http://127.1":              "a name, or an address in its usual form",
	} {
		if _, err := NewOrigins([]string{p}); err == nil || !strings.HasSuffix(err.Error(), "want "+want) {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range []string{"http://127.0.0.1:3000", "http://[::1]", "http://[::1]:*", "https://*.example.com:8443", "https://1and1.com", "chrome-extension://abc", "file://", "capacitor://localhost"} {
		if _, err := NewOrigins([]string{p}); err != nil {
			t.Error(err)
		}
	}
}
