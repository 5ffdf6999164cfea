package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

const testToken = "a token of some length"

func TestProtect(t *testing.T) {
	for name, test := range map[string]struct {
		token  string // configured
		method string
		path   string
		host   string
		header map[string]string
		want   int
	}{
		"nothing configured":           {"", "GET", "/metrics", "127.0.0.1:8081", nil, 200},
		"localhost":                    {"", "POST", "/v1/publish", "localhost:8081", nil, 200},
		"IPv6":                         {"", "GET", "/metrics", "[::1]:8081", nil, 200},
		"a name that may be anybody's": {"", "GET", "/metrics", "evil.example:8081", nil, 403},
		"health by any name":           {"", "GET", "/healthz", "gateway:8081", nil, 200},
		"a foreign page": {"", "POST", "/v1/publish", "127.0.0.1:8081",
			map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		"a foreign page of an old browser": {"", "POST", "/v1/publish", "127.0.0.1:8081",
			map[string]string{"Origin": "https://evil.example"}, 403},
		"a foreign page that profiles": {"", "GET", "/debug/pprof/profile", "127.0.0.1:8081",
			map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		"a page of another port that profiles": {"", "GET", "/debug/pprof/trace", "localhost:8081",
			map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"a foreign page that reads": {"", "GET", "/v1/connections", "127.0.0.1:8081",
			map[string]string{"Origin": "https://evil.example"}, 403},
		"a page of no origin that reads": {"", "GET", "/metrics", "127.0.0.1:8081", map[string]string{"Origin": "null"}, 403},
		"a foreign page that profiles, logged in": {testToken, "GET", "/debug/pprof/profile", "gateway:8081",
			map[string]string{"Authorization": "Bearer " + testToken, "Sec-Fetch-Site": "cross-site"}, 403},
		"a link to the console": {"", "GET", "/console/", "127.0.0.1:8081",
			map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		"an address that was typed": {"", "GET", "/debug/pprof/", "127.0.0.1:8081", map[string]string{"Sec-Fetch-Site": "none"}, 200},
		"the console's own file":    {"", "GET", "/console/config.json", "127.0.0.1:8081", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		"the console": {"", "POST", "/v1/publish", "127.0.0.1:8081",
			map[string]string{"Origin": "http://127.0.0.1:8081", "Sec-Fetch-Site": "same-origin"}, 200},

		"no token shown":        {testToken, "GET", "/metrics", "gateway:8081", nil, 401},
		"another token":         {testToken, "GET", "/metrics", "gateway:8081", map[string]string{"Authorization": "Bearer another"}, 401},
		"an empty token":        {testToken, "GET", "/metrics", "gateway:8081", map[string]string{"Authorization": "Bearer "}, 401},
		"the token":             {testToken, "GET", "/metrics", "gateway:8081", map[string]string{"Authorization": "Bearer " + testToken}, 200},
		"the token, lower case": {testToken, "GET", "/metrics", "gateway:8081", map[string]string{"Authorization": "bearer " + testToken}, 200},
		"as a password":         {testToken, "GET", "/metrics", "gateway:8081", map[string]string{"Authorization": "Basic YW55Ym9keTphIHRva2VuIG9mIHNvbWUgbGVuZ3Ro"}, 200},
		"as a name":             {testToken, "GET", "/metrics", "gateway:8081", map[string]string{"Authorization": "Basic YSB0b2tlbiBvZiBzb21lIGxlbmd0aDo="}, 401},
		"in the query":          {testToken, "GET", "/metrics?token=" + testToken, "gateway:8081", nil, 401},
		"healthz":               {testToken, "GET", "/healthz", "gateway:8081", nil, 200},
		"readyz":                {testToken, "GET", "/readyz", "gateway:8081", nil, 200},
		"below healthz":         {testToken, "GET", "/healthz/x", "gateway:8081", nil, 401},
		"a foreign page, logged in": {testToken, "POST", "/v1/publish", "gateway:8081",
			map[string]string{"Authorization": "Bearer " + testToken, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			reached := false
			h := Protect(func() string { return test.token }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
			r := httptest.NewRequest(test.method, "/", nil)
			r.URL.Path, r.Host = test.path, test.host
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.want || reached != (test.want == 200) {
				t.Fatalf("%d %s, reached %v, want %d", w.Code, w.Body, reached, test.want)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}
