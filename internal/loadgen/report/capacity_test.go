package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/capacity"
)

func outcome(t *testing.T) *capacity.Outcome {
	t.Helper()
	fit := capacity.FitLine([]capacity.Point{{X: 1000, Y: 20 << 20}, {X: 2000, Y: 21 << 20}, {X: 3000, Y: 22<<20 + 9}})
	if fit == nil {
		t.Fatal("no line")
	}
	grown := 9e6
	return &capacity.Outcome{
		Schema: capacity.Schema, Command: []string{"loadgen capacity", "--server-cmd", "gateway serve"}, Started: "2026-11-23T12:00:00Z",
		Server: "gateway serve <b>", Transport: "ws", Failed: []string{}, Warnings: []string{"mind this"},
		Connections:      []capacity.Step{{Connections: 1000, RSS: 20 << 20, Kernel: &grown, Good: true}, {Connections: 9000, Failed: []string{"HTTP 503 <x>"}}},
		Deliveries:       []capacity.Step{{Connections: 1000, Rate: 5, Delivered: 5000, Latency: account.Latency{Count: 1, P99: 5e6}, Good: true}},
		ConnectionsBreak: &capacity.Break{Good: 3000, Bad: 9000, Why: "HTTP 503 <x>"},
		Fits:             capacity.Fits{RSS: fit},
		Verified:         &capacity.Verified{Connections: 19000, Predicted: 40 << 20, Measured: 39 << 20, Percent: 2.6, Largest: 3000},
		Bill: &capacity.Bill{Target: 1000000, Heartbeat: 25 * time.Second, Every: time.Minute, Size: 128,
			Items:  []capacity.Item{{Name: "memory, the gateway's", Value: 3e8, Unit: "bytes", Basis: capacity.Extrapolated, Factor: 333, Margin: 1e6, How: "300 B a connection"}},
			Limits: []capacity.Limit{{Name: "RLIMIT_NOFILE hard", Carries: 19488, Why: "one descriptor a connection", Fix: "sudo prlimit && more"}}},
	}
}

func TestCapacityDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	d, err := Create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, false); err == nil || !strings.Contains(err.Error(), "is in the way") {
		t.Errorf("two at once: %v", err)
	}
	if err := d.Finish(outcome(t).WriteJSON); err != nil {
		t.Fatal(err)
	}
	d.Abandon()
	text, err := os.ReadFile(filepath.Join(path, Page))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{"The bill for 1000000 connections", "extrapolated x 333", "19488", "the nearest first", "prlimit &amp;&amp; more", "&lt;b&gt;",
		"HTTP 503 &lt;x&gt;", "breaks between 3000 and 9000", "checked further out", `"measured_rss_bytes":40894464`, "&#43;2.6 %", "R2", "MiB"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	ours := strings.ReplaceAll(page, file("uplot/uplot.iife.min.js"), "")
	for _, never := range []string{"http://", "https://", ":NaN", "ZgotmplZ", "HTTP 503 <x>"} {
		if strings.Contains(ours, never) {
			t.Errorf("the page has %q", never)
		}
	}
	// Read back and rendered again, it is the same.
	if err := WritePage(path); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(filepath.Join(path, Page)); string(again) != page {
		t.Error("rendered again, the page is another")
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "schema") {
		t.Errorf("taken for a run: %v", err)
	}
}

func TestCapacityOfLittle(t *testing.T) {
	var b bytes.Buffer
	if err := RenderCapacity(&b, &capacity.Outcome{Interrupted: true}); err != nil || !strings.Contains(b.String(), "INTERRUPTED") {
		t.Errorf("an outcome of little: %v", err)
	}
}
