package interop

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// tab is a page in Chromium, of another origin than any gateway's, that runs
// JavaScript for the test and tells it of events.
type tab struct {
	t        testing.TB
	url      string
	commands chan string   // sent to by the test, received by the page's requests; never closed
	events   chan happened // sent to by the page's requests, received by the test; never closed
	early    []happened    // that the test has not waited for yet
}

// happened is an event of a client that the page has opened by that name.
type happened struct {
	Name, Event string
	Value       json.RawMessage
}

// openTab opens the page. In its JavaScript tab.open(name, url, options) makes a
// PushClient, and tab.report(name, event, value) an event. Further paths of its
// server are handled by handlers.
func openTab(t testing.TB, handlers map[string]http.HandlerFunc) *tab {
	t.Helper()
	needs(t, "chromium")
	p := &tab{t: t, commands: make(chan string, 16), events: make(chan happened, 1024)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/tab.html") })
	mux.HandleFunc("GET /client.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "../../web/client.js") })
	mux.HandleFunc("GET /command", func(w http.ResponseWriter, r *http.Request) {
		select {
		case code := <-p.commands:
			io.WriteString(w, code)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /event", func(_ http.ResponseWriter, r *http.Request) {
		var e happened
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		p.events <- e
	})
	for path, handler := range handlers {
		mux.HandleFunc(path, handler)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	p.url = server.URL
	browse(t, server.URL)
	return p
}

// in returns the page for a test within the one that opened it.
func (p *tab) in(t testing.TB) *tab {
	inner := *p
	inner.t, inner.early = t, nil
	return &inner
}

// run has the page run code.
func (p *tab) run(lines ...string) { p.commands <- strings.Join(lines, "\n") }

// expect waits for the next event of that kind, and returns its value.
func (p *tab) expect(name, event string) map[string]any {
	p.t.Helper()
	take := func(e happened) (map[string]any, bool) {
		if e.Name == "page" {
			p.t.Fatalf("the page has failed: %s", e.Value)
		}
		if e.Name != name || e.Event != event {
			return nil, false
		}
		var value any
		if err := json.Unmarshal(e.Value, &value); err != nil {
			p.t.Fatal(err)
		}
		object, ok := value.(map[string]any)
		if !ok {
			object = map[string]any{"value": value}
		}
		return object, true
	}
	for i, e := range p.early {
		if value, ok := take(e); ok {
			p.early = append(p.early[:i:i], p.early[i+1:]...)
			return value
		}
	}
	for end := time.After(patience); ; {
		select {
		case e := <-p.events:
			if value, ok := take(e); ok {
				return value
			}
			p.early = append(p.early, e)
		case <-end:
			p.t.Fatalf("%s has no %s; it has %s", name, event, p.seen(name))
		}
	}
}

// seen lists the events of a client that no test waited for.
func (p *tab) seen(name string) (list []string) {
	for _, e := range p.early {
		if e.Name == name {
			list = append(list, e.Event+" "+string(e.Value))
		}
	}
	return list
}
