package interop

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/pushgate/pushgate/internal/loopback"
	"github.com/pushgate/pushgate/internal/redistest"
)

// durable publishes a durable message as a backend does.
func durable(t testing.TB, redis *redistest.Server, channel, payload string) (id string) {
	t.Helper()
	script, err := os.ReadFile("../../configs/publish.lua")
	if err != nil {
		t.Fatal(err)
	}
	id, err = redis.Client.Eval(context.Background(), string(script),
		[]string{"{push:" + channel + "}:log"}, "push:"+channel, payload, 1000, 3600).Text()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A widely used polyfill for EventSource reconnects with its position in the query, by a name
// of its own. Messages published while the gateway is away are not lost.
func TestPolyfillResumes(t *testing.T) {
	needs(t, "chromium")
	modules := npmInstall(t, "event-source-polyfill@1.0.31")
	addr, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	redis := redistest.Start(t)
	g := startGatewayOn(t, redis, "--listen", addr)
	page := openTab(t, map[string]http.HandlerFunc{"GET /polyfill.js": func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(modules, "event-source-polyfill/src/eventsource.min.js"))
	}})
	page.run(`
		const script = document.createElement("script");
		script.src = "/polyfill.js";
		script.onload = () => {
			const source = new EventSourcePolyfill("http://` + addr + `/v1/sse?channels=c");
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
	durable(t, redis, "c", "1")
	heard(1)
	g.Kill()
	durable(t, redis, "c", "2")
	startGatewayOn(t, redis, "--listen", addr)
	page.expect("polyfill", "subscribed")
	heard(2)
	durable(t, redis, "c", "3")
	heard(3)
}
