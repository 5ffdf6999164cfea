package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, a Addresses, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(func(string) Addresses { return a }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestHandlerServesThePage(t *testing.T) {
	for path, kind := range map[string]string{
		"/console/":           "text/html",
		"/console/console.js": "text/javascript",
		"/console/style.css":  "text/css",
		"/console/client.js":  "text/javascript",
	} {
		w := get(t, Addresses{Public: "127.0.0.1:8080"}, path)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s, want 200 %s", path, w.Code, w.Header().Get("Content-Type"), kind)
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no content security policy", path)
		}
	}
	if w := get(t, Addresses{}, "/console/absent"); w.Code != http.StatusNotFound {
		t.Errorf("an absent file: %d, want 404", w.Code)
	}
}

func TestHandlerTellsTheAddresses(t *testing.T) {
	for want, a := range map[string]Addresses{
		`{"public":"127.0.0.1:8080","tls":""}`:                {Public: "127.0.0.1:8080"},
		`{"public":"[::]:8080","tls":"push.example.com:443"}`: {Public: "[::]:8080", TLS: "push.example.com:443"},
		`{"public":"","tls":"127.0.0.1:8443"}`:                {Public: "unix:/run/gateway.sock", TLS: "127.0.0.1:8443"},
	} {
		w := get(t, a, "/console/config.json")
		if got := strings.TrimSpace(w.Body.String()); got != want {
			t.Errorf("%+v: %s, want %s", a, got, want)
		}
	}
}

// The addresses are asked for by the host in the page's address.
func TestHandlerKnowsItsHost(t *testing.T) {
	for host, want := range map[string]string{
		"push.example.com:8081": "push.example.com", "push.example.com": "push.example.com", "[::1]:8081": "::1", "127.0.0.1:8081": "127.0.0.1",
	} {
		r := httptest.NewRequest(http.MethodGet, "/console/config.json", nil)
		r.Host = host
		got := ""
		Handler(func(host string) Addresses { got = host; return Addresses{} }).ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// The console must work on a machine without internet access and reveal
// nothing to others.
func TestFilesLoadNothingFromElsewhere(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)(src|href|url|import|from)\s*[=(]?\s*["']?(https?:)?//`)
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		if found := foreign.Find(text); found != nil {
			t.Errorf("%s loads from another host: %s", path, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
