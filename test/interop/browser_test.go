package interop

import (
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed testdata/page.html
var page string

// browsed is the report of the page: what each of the browser's ways to the
// gateway saw. A page can't send pings of the protocol; it sends the gateway's
// own.
type browsed struct {
	WebSocket report `json:"websocket"`
	Events    report `json:"events"`
	Poll      report `json:"poll"`
}

// TestChromium plays with WebSocket, EventSource and fetch of a real browser,
// all at once in one page of another origin than the gateway's.
func TestChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser: left out with -short")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("install the Debian package chromium for this test")
	}
	g := startGateway(t)
	said := make(chan string, 8)
	reported := make(chan browsed, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/":
			io.WriteString(w, strings.ReplaceAll(page, "GATEWAY", g.public))
		case "/say":
			said <- string(body)
		case "/report":
			var got browsed
			if err := json.Unmarshal(body, &got); err != nil {
				t.Errorf("%s: %v", body, err)
			}
			reported <- got
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", server.URL)
	// Its processes are a group of their own, all of which end with the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var complaint strings.Builder
	cmd.Stderr = &complaint
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Log(complaint.String())
		}
	}()

	var none error
	await(t, said, "subscribed", &none)
	g.publish(channel)
	await(t, said, "waiting", &none)
	eventually(t, "the gateway has pinged it", func() bool { return g.metric("gateway_pings_total") >= 4 })
	if n := g.metric(`gateway_closes_total{reason="timeout"}`); n != 0 {
		t.Errorf("%v connections ended for a ping without an answer", n)
	}
	g.drain()
	var got browsed
	select {
	case got = <-reported:
	case line := <-said:
		t.Fatalf("the page says %q", line)
	case <-time.After(patience):
		t.Fatal("the page doesn't report")
	}
	if got.WebSocket != played {
		t.Errorf("WebSocket %+v\n     want %+v", got.WebSocket, played)
	}
	// A stream of events is one way, and its end has no code.
	events := report{Received: messages, Ordered: true, Large: largeSize, Speech: speech, Bye: "drain", After: true}
	if got.Events != events {
		t.Errorf("EventSource %+v\n       want %+v", got.Events, events)
	}
	// A poll is answered by the drain, with no messages.
	poll := report{Received: messages, Ordered: true, Large: largeSize, Speech: speech, Drained: 204}
	if got.Poll != poll {
		t.Errorf("fetch %+v\n want %+v", got.Poll, poll)
	}
	g.exits()
}
