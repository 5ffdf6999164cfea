package interop

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed testdata/page.html
var page string

// browsed is the page's report on each of the browser's ways to the gateway. A page can't send
// pings of the protocol; it sends the gateway's own.
type browsed struct {
	WebSocket report `json:"websocket"`
	Events    report `json:"events"`
	Poll      report `json:"poll"`
}

// playChromium has a page of another origin than the gateway's play in Chromium, by all of the
// browser's ways at once. base is the gateway's URL; flags are Chromium's.
func playChromium(t *testing.T, base string, flags ...string) (said <-chan string, reported <-chan browsed) {
	t.Helper()
	needs(t, "chromium")
	lines, reports := make(chan string, 8), make(chan browsed, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/":
			io.WriteString(w, strings.ReplaceAll(page, "GATEWAY", base))
		case "/say":
			lines <- string(body)
		case "/report":
			var got browsed
			if err := json.Unmarshal(body, &got); err != nil {
				t.Errorf("%s: %v", body, err)
			}
			reports <- got
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	browse(t, server.URL, flags...)
	return lines, reports
}

// judgeChromium checks the page's report.
func judgeChromium(t *testing.T, said <-chan string, reported <-chan browsed) {
	t.Helper()
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
}

// largeRing has room for the large message in its three forms, which takes most of a ring of the
// default size; a page that polls again too late would have a gap.
var largeRing = []string{"--redis.ring.bytes", "1MiB"}

// TestChromium plays with WebSocket, EventSource and fetch of a real browser,
// all at once in one page of another origin than the gateway's.
func TestChromium(t *testing.T) {
	needs(t, "chromium")
	g := startGateway(t, largeRing...)
	said, reported := playChromium(t, "http://"+g.Public)

	var none error
	await(t, said, "subscribed", &none)
	g.publish(channel)
	await(t, said, "waiting", &none)
	eventually(t, "the gateway has pinged it", func() bool { return g.Metric("gateway_pings_total") >= 4 })
	if n := g.Metric(`gateway_closes_total{reason="timeout"}`); n != 0 {
		t.Errorf("%v connections ended for a ping without an answer", n)
	}
	g.Signal(syscall.SIGTERM)
	judgeChromium(t, said, reported)
	g.Exits()
}
