package interop

import (
	"net/http"
	"path/filepath"
	"testing"
)

// A widely used polyfill for EventSource reconnects with its position in the query, by a name
// of its own. Messages published while the gateway is away are not lost.
func TestPolyfillResumes(t *testing.T) {
	needs(t, "chromium")
	modules := npmInstall(t, "event-source-polyfill@1.0.31")
	g := startGateway(t)
	page := openTab(t, map[string]http.HandlerFunc{"GET /polyfill.js": func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(modules, "event-source-polyfill/src/eventsource.min.js"))
	}})
	page.run(`
		const script = document.createElement("script");
		script.src = "/polyfill.js";
		script.onload = () => {
			const source = new EventSourcePolyfill("http://` + g.Public + `/v1/sse?channels=c");
			source.addEventListener("subscribed", () => tab.report("polyfill", "subscribed"));
			source.addEventListener("message", (e) => tab.report("polyfill", "message", JSON.parse(e.data).data));
		};
		document.head.append(script);`)
	heard := func(want float64) {
		t.Helper()
		if got := page.expect("polyfill", "message")["value"]; got != want {
			t.Fatalf("it hears %v, want %v", got, want)
		}
	}
	page.expect("polyfill", "subscribed")
	g.Redis.PublishDurable("c", "1")
	heard(1)
	g.Kill()
	g.Redis.PublishDurable("c", "2")
	g.Restart()
	page.expect("polyfill", "subscribed")
	heard(2)
	g.Redis.PublishDurable("c", "3")
	heard(3)
}
