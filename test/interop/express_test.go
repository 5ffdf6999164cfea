package interop

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// TestExpressCompression has Express with its compression middleware in front, as
// a front-end's own server often is. Each event arrives when it is published, and
// not when a block is full.
func TestExpressCompression(t *testing.T) {
	modules := npmInstall(t, "express@4", "compression@1", "http-proxy-middleware@3")
	g := startGateway(t)
	addr := gatewaytest.Address(t)
	host, port, _ := net.SplitHostPort(addr)
	// Beside the packages: where node looks for them.
	script := filepath.Join(filepath.Dir(modules), "server.js")
	text := fmt.Sprintf(`
		const express = require("express"), compression = require("compression");
		const { createProxyMiddleware } = require("http-proxy-middleware");
		const app = express();
		app.use(compression({ threshold: 0 }));
		app.get("/page", (req, res) => res.type("text").send("x".repeat(5000)));
		const proxy = createProxyMiddleware({ target: "http://%s", ws: true });
		app.use(proxy);
		app.listen(%s, "%s").on("upgrade", proxy.upgrade);`, g.Public, port, host)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, needs(t, "node"), script)
	awaitListener(t, addr)
	ask := func(path string) *http.Response {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := (&http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	if got := ask("/page").Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("the middleware does not compress: %q", got)
	}

	stream := ask("/v1/sse?channels=" + channel)
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/v1/ws?channels="+channel, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.SetReadDeadline(time.Now().Add(patience))
	for _, want := range []string{"welcome", "subscribed"} {
		if _, text, err := ws.ReadMessage(); err != nil || !strings.Contains(string(text), want) {
			t.Fatalf("%s, %v", text, err)
		}
	}
	lines := bufio.NewScanner(stream.Body)
	for n := range 3 {
		want := fmt.Sprintf(`"data":%d`, n)
		g.Redis.Publish(channel, fmt.Sprint(n))
		for lines.Scan() && !strings.Contains(lines.Text(), want) {
		}
		if err := lines.Err(); err != nil {
			t.Fatalf("event %d: %v", n, err)
		}
		if _, text, err := ws.ReadMessage(); err != nil || !strings.Contains(string(text), want) {
			t.Fatalf("message %d: %s, %v", n, text, err)
		}
	}
	if resp := ask("/v1/poll?channels=" + channel + "&wait=0"); resp.StatusCode != 204 || resp.Header.Get("Poll-Cursor") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}
