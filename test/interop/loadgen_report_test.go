package interop

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReportInChromium has a browser draw the pages of a run and of a climb:
// every chart has a canvas, and nothing is fetched.
func TestReportInChromium(t *testing.T) {
	browser := needs(t, "chromium")
	g := startGateway(t)
	dir := t.TempDir()
	target := []string{"--url", "ws://" + g.Public, "--redis", g.Redis.URL()}
	if r, code := load(t, append([]string{"fanout", "-n", "20", "--messages", "60", "--rate", "20", "--out", filepath.Join(dir, "run")}, target...)...); code != 0 {
		t.Fatalf("the run failed: %+v", r)
	}
	climb := append([]string{"capacity", "--max-connections", "30", "--steps", "3", "--hold", "1s", "--warmup", "0", "--subscribers", "5",
		"--max-deliveries", "100", "--publish", "1s", "--out", filepath.Join(dir, "climb")}, target...)
	if text, err := exec.CommandContext(t.Context(), loader, climb...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, titles := range map[string][]string{
		"run":   {"Connections", "Deliveries", "Delivery latency", "Latency by percentile", "Server memory", "CPU"},
		"climb": {"Memory of the gateway"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		dom, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
			"--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+t.TempDir(),
			"--virtual-time-budget=2000", "--dump-dom", "file://"+filepath.Join(dir, name, "report.html")).Output()
		if err != nil {
			t.Fatal(err)
		}
		charts := strings.Count(string(dom), "<figure>")
		if canvases := strings.Count(string(dom), "<canvas"); charts == 0 || canvases != charts {
			t.Errorf("%s: %d charts, %d of them drawn", name, charts, canvases)
		}
		for _, title := range titles {
			if !strings.Contains(string(dom), "<h3>"+title+"</h3>") {
				t.Errorf("%s: no chart %q", name, title)
			}
		}
	}
}
