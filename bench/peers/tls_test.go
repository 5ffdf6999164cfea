package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTLS measures every server over TLS that is here with few clients, and renders the page beside
// the kept results of those without.
func TestTLS(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	results := measureFew(t, dir, "-transport", "tls")
	if len(results) != 1 || len(results[0].Servers) < 3 {
		t.Fatalf("%d results, want 1 with 3 servers at least: %+v", len(results), results)
	}
	for _, s := range results[0].Servers {
		if f := s.Rounds[0]; f.Pings != 0 || f.KernelBefore <= 0 || f.KernelWith <= 0 {
			t.Errorf("%s: %d heartbeats, kernel memory %d and %d", s.Name, f.Pings, f.KernelBefore, f.KernelWith)
		}
	}
	if err := renderPage(dir); err == nil || !strings.Contains(err.Error(), "no result without TLS") {
		t.Errorf("a page of TLS alone: %v", err)
	}
	if err := os.CopyFS(filepath.Join(dir, "kept"), os.DirFS(filepath.Join("..", "..", "docs", "benchmarks"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"websocket-15000.json", "sse-15000.json"} {
		if err := os.Rename(filepath.Join(dir, "kept", name), filepath.Join(dir, "benchmarks", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := renderPage(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "BENCHMARKS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## WebSocket, 15,000 connections", "\n## TLS\n", "## WebSocket over TLS, 50 connections, 3 messages",
		"kernel memory per connection, B", "| net/http goroutines |", "Budget: a connect costs the gateway at most 1.15 times",
		"| beside the gateway's own TLS |", "--tls.certificates '[{cert_file: /tmp/peers/cert.pem, ", "- **Compression** and HTTP/2",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	for _, name := range []string{"memory", "delivery", "connect"} {
		if _, err := os.Stat(filepath.Join(dir, "benchmarks", "tls-"+name+".svg")); err != nil {
			t.Error(err)
		}
	}
}

// TestBudget compares the gateway with net/http round by round.
func TestBudget(t *testing.T) {
	for want, cpu := range map[string][3]float64{ // of the gateway; net/http takes 1 each time
		"It is 1.10 times (0.90-1.20): within the budget.": {1.1, 0.9, 1.2},
		"It is 1.20 times (1.00-1.30): over the budget.":   {1.2, 1, 1.3},
	} {
		r := &result{Connections: 1, Transport: secureTransport}
		for _, name := range []string{gatewayName, netHTTPName} {
			m := measured{Name: name}
			for _, v := range cpu {
				if name == netHTTPName {
					v = 1
				}
				m.Rounds = append(m.Rounds, figures{ConnectCPU: v})
			}
			m.Rounds = append(m.Rounds, figures{ConnectCPU: 9, Failed: "it fell over"})
			r.Servers = append(r.Servers, m)
		}
		if got := r.Budget(); !strings.HasSuffix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := (&result{Transport: secureTransport}).Budget(); got != "" {
		t.Errorf("without figures: %s", got)
	}
}
