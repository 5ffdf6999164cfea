package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// TestMain runs one of the servers where the test binary is started for that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The clients of a server in tests, and the messages to each.
const few, fewMessages = 50, 3

// measureFew measures servers with few clients and one round, keeps the results in dir, and checks
// that nothing is missing in them.
func measureFew(t *testing.T, dir string, args ...string) []*result {
	t.Helper()
	program := filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-C", "../..", "-o", program, "./cmd/gateway")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, output)
	}
	o, err := parse(append(args, "-n", "50", "-messages", "3", "-rounds", "1", "-interval", "1s", "-gateway", program, "-docs", dir))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if err := measure(t.Context(), o, &log); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + log.String())
	results, err := keptResults(filepath.Join(dir, "benchmarks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, s := range r.Servers {
			f := s.Rounds[0]
			if f.Failed != "" {
				t.Errorf("%s, %s: %s", r.Transport, s.Name, f.Failed)
				continue
			}
			if f.Deliveries != few*fewMessages || f.Counts != (client.Counts{}) || len(f.Last) != fewMessages {
				t.Errorf("%s, %s: %+v", r.Transport, s.Name, f)
			}
			for _, m := range r.Metrics() { // other programs use the memory of the kernel too
				if v := m.of(r, &f); !strings.Contains(m.Name, "memory") && !(v > 0) {
					t.Errorf("%s, %s: %s is %v", r.Transport, s.Name, m.Name, v)
				}
			}
		}
	}
	return results
}

// TestAll measures every server that is here with few clients, and renders the
// page.
func TestAll(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	results := measureFew(t, dir, "-transport", "websocket,sse")
	if len(results) != len(plain) {
		t.Fatalf("%d results, want %d", len(results), len(plain))
	}
	for _, r := range results {
		if least := 4; len(r.Servers) < least {
			t.Errorf("%s: %d servers, want %d at least", r.Transport, len(r.Servers), least)
		}
		for _, s := range r.Servers {
			f := s.Rounds[0]
			if f.Failed != "" {
				continue // measureFew has told
			}
			// A server that spreads its pings may be just ahead or behind.
			if f.Pings < few/2 || f.Pings > 3*few/2 {
				t.Errorf("%s, %s: %d heartbeats in one interval", r.Transport, s.Name, f.Pings)
			}
		}
	}
	if err := renderPage(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "BENCHMARKS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## WebSocket, 50 connections, 3 messages", "## Server-Sent Events, 50 connections", "No round was cut short", "| gorilla hub |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	for _, name := range []string{"memory", "delivery", "connect"} {
		if _, err := os.Stat(filepath.Join(dir, "benchmarks", name+".svg")); err != nil {
			t.Error(err)
		}
	}
}

// The page is made of the results that are kept in the repository.
func TestKeptPage(t *testing.T) {
	docs, kept := t.TempDir(), filepath.Join("..", "..", "docs")
	if err := os.CopyFS(filepath.Join(docs, "benchmarks"), os.DirFS(filepath.Join(kept, "benchmarks"))); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"render", "-docs", docs}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"BENCHMARKS.md", "benchmarks/memory.svg", "benchmarks/delivery.svg", "benchmarks/connect.svg"} {
		got, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(kept, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not made of the kept results (%v); it would be\n%s", name, err, got)
		}
	}
}

// TestAhead names those that are better than the gateway, and only them.
func TestAhead(t *testing.T) {
	r := &result{Connections: 1}
	for i, name := range []string{"pushgate", "other"} {
		r.Servers = append(r.Servers, measured{Name: name, Rounds: []figures{{
			Connect: 1 + float64(i), ConnectCPU: 1 - float64(i)/2, With: 100, Hold: 1, HoldCPU: 1, DeliverCPU: 1, Deliveries: 1, Last: []float64{1},
		}}})
	}
	if got, want := r.Ahead(), "Others are ahead of the gateway in: CPU per connect (other)."; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r.Servers[1].Rounds[0].Failed = "it fell over"
	if got, want := r.Ahead(), "The gateway is ahead in every column."; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	most, err := rig.MostClients()
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"-n: 0 is not allowed":           {"-n", "1000,0"},
		"-n: 1000000000 is not allowed":  {"-n", "1000000000"},
		"-size: 1 is not allowed":        {"-size", "1"},
		"-rounds: 0 is not allowed":      {"-rounds", "0"},
		"-interval: 1.5s is not allowed": {"-interval", "1500ms"},
		`there is no "apache"`:           {"-only", "nchan,apache"},
		`there is no "smtp"`:             {"-transport", "smtp"},
		"is not allowed over TLS":        {"-transport", "tls", "-n", fmt.Sprint(most)},
		`unexpected argument "more"`:     {"more"},
	} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
