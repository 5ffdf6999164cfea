package interop

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

//go:embed testdata/cors.html
var corsPage string

// long makes a request line too long for limits.head_bytes.
var long = strings.Repeat("x", 17000)

// pageRequests are a page's requests, and the statuses of their answers: method,
// path, body.
var pageRequests = map[[3]string]string{
	{"GET", "/v1/poll?channels=a&wait=0", ""}:                       "204 Poll-Cursor",
	{"HEAD", "/v1/poll?channels=a", ""}:                             "200",
	{"POST", "/v1/poll", `{"channels":["a"],"wait":0}`}:             "204 Poll-Cursor",
	{"GET", "/v1/sse?channels=a", ""}:                               "200",
	{"HEAD", "/v1/sse?channels=a", ""}:                              "200",
	{"POST", "/v1/publish", `{"channel":"open","data":1}`}:          "200",
	{"POST", "/v1/publish?closed", `{"channel":"closed","data":1}`}: "403",
	{"GET", "/healthz", ""}:                                         "200",
	{"GET", "/readyz", ""}:                                          "200",
	{"GET", "/v1/poll", ""}:                                         "400",
	{"GET", "/v1/ws", ""}:                                           "426",
	{"GET", "/v1/nothing", ""}:                                      "404",
	{"POST", "/v1/sse", ""}:                                         "405",
	{"GET", "/v1/poll?channels=" + long, ""}:                        "431",
}

// TestPagesOfOtherOrigins has pages of four origins make every request there is,
// in Chromium: one that is listed by name, one that a wildcard allows, a frame
// without an origin, and one that isn't allowed.
func TestPagesOfOtherOrigins(t *testing.T) {
	needs(t, "chromium")
	type report struct {
		Page string
		Seen map[string]string
	}
	reports := make(chan report, 4)
	var text, frames string        // of the pages
	written := make(chan struct{}) // closed when both are set
	pages := map[string]*httptest.Server{}
	for _, name := range []string{"named", "wildcard", "foreign"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-written
			switch r.URL.Path {
			case "/":
				io.WriteString(w, strings.NewReplacer("PAGE", name, "FRAMES", frames).Replace(text))
			case "/frame":
				io.WriteString(w, strings.NewReplacer("PAGE", r.URL.Query().Get("as"), "FRAMES", "").Replace(text))
			case "/report":
				var got report
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				reports <- got
			default:
				http.NotFound(w, r)
			}
		}))
		defer server.Close()
		pages[name] = server
	}
	foreign := strings.Replace(pages["foreign"].URL, "127.0.0.1", "localhost", 1)
	origins := "http://127.0.0.1:*,null," + pages["named"].URL
	t.Setenv("GATEWAY_CHANNELS", "[{match: [open], publish: true}]")
	g := startGateway(t, "--origins", origins)
	full := startGateway(t, "--origins", origins, "--limits.connections", "1")
	tokens := startGateway(t, "--origins", origins, "--auth.mode", "jwt", "--auth.jwt.secret", strings.Repeat("s", 32))
	slow := startGateway(t, "--origins", origins, "--limits.messages_per_second", "1", "--limits.messages_burst", "1")
	held, _, err := websocket.DefaultDialer.Dial("ws://"+full.Public+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	go func() { // answers pings until held is closed
		for {
			if _, _, err := held.ReadMessage(); err != nil {
				return
			}
		}
	}()

	list, err := json.Marshal(slices.Collect(maps.Keys(pageRequests)))
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("REQUESTS", string(list), "GATEWAY", g.Public, "FULL", full.Public, "TOKENS", tokens.Public, "SLOW", slow.Public,
		"REPORTS", strings.TrimPrefix(pages["named"].URL, "http://")).Replace(corsPage)
	frames = fmt.Sprintf(`<iframe src="%s/frame?as=wildcard"></iframe><iframe src="%s/frame?as=foreign"></iframe>
			<iframe sandbox="allow-scripts" src="/frame?as=null"></iframe>`, pages["wildcard"].URL, foreign)
	close(written)
	browse(t, pages["named"].URL)

	for range cap(reports) {
		var got report
		select {
		case got = <-reports:
		case <-time.After(patience):
			t.Fatal("not all pages report")
		}
		anyPage := got.Page != "foreign"
		readable := func(credentialed bool, answer string) string {
			if anyPage && (!credentialed || got.Page == "named") {
				return answer
			}
			return "blocked"
		}
		want := map[string]string{
			"EventSource simple": readable(false, "open"), "EventSource credentialed": readable(true, "open"),
			"WebSocket": readable(false, "open"), "a full gateway": readable(false, "503 Retry-After"),
			"a bad token": readable(false, "401"), "over the rate": readable(false, "429 Retry-After"),
		}
		for request, answer := range pageRequests {
			name := request[0] + " " + request[1]
			want[name+" simple"], want[name+" preflighted"] = readable(false, answer), readable(false, answer)
			want[name+" credentialed"], want[name+" preflighted, credentialed"] = readable(true, answer), readable(true, answer)
		}
		for name, answer := range want {
			if got.Seen[name] != answer {
				t.Errorf("%s page: %s: %q, want %q", got.Page, strings.Replace(name, long, "LONG", 1), got.Seen[name], answer)
			}
		}
	}
}

// TestStickyBalancer: a page that is listed by name stays on one node by the cookie of a
// load balancer, if its requests say so.
func TestStickyBalancer(t *testing.T) {
	needs(t, "chromium", "haproxy")
	page := openTab(t, nil)
	b := startHAProxy(t, `
	balance roundrobin
	cookie NODE insert indirect nocache
	server a %s cookie a
	server b %s cookie b`, startGateway(t, "--origins", page.url), startGateway(t, "--origins", page.url))
	const requests = 8
	page.run(fmt.Sprintf(`(async () => {
		const statuses = [];
		for (let n = 0; n < %d; n++) statuses.push((await fetch("http://%s/v1/poll?channels=a&wait=0", {credentials: "include"})).status);
		tab.report("polls", "answered", statuses.join(" "));
	})()`, requests, b.public))
	want := strings.TrimSuffix(strings.Repeat("204 ", requests), " ")
	if got := page.expect("polls", "answered")["value"]; got != want {
		t.Fatalf("the page says %q", got)
	}
	counts := []string{b.server("a")["hrsp_2xx"], b.server("b")["hrsp_2xx"]}
	if slices.Sort(counts); !slices.Equal(counts, []string{"0", fmt.Sprint(requests)}) {
		t.Errorf("the nodes got %v requests", counts)
	}
}
