package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/probe"
)

// sample returns one second of a made-up run.
func sample(i int) result.Sample {
	s := result.Sample{
		Seconds: float64(i + 1), Phase: result.PhasePublish, Open: 1000, Ready: 1000, Settled: 1000,
		Published: uint64(10 * i), Delivered: uint64(10000 * i), Expected: uint64(10000 * i), DeliveredPS: 10000 + float64(i%5)*100,
		Due:     account.Latency{Count: 10000, P50: 1e6, P90: 2e6, P99: 5e6 + int64(i%3)*1e6, P999: 8e6, Max: 9e6},
		SelfCPU: 0.1, LoopBusy: 0.2, ServerCPU: 0.5 + float64(i%4)/100, Server: &probe.ProcessSample{RSS: 20 << 20, Anon: 6 << 20, Threads: 8, Descriptors: 1020},
		RSSPerConnection: 600 + float64(i%2),
	}
	if i < 2 {
		s.Phase, s.Open, s.Due, s.DeliveredPS, s.ReadyPS = result.PhaseConnect, uint64(500*i), account.Latency{}, 0, 500
	}
	return s
}

// madeUp returns the result of a run with texts that a page must not take for
// its own.
func madeUp(seconds int) *result.Result {
	r := &result.Result{
		Schema: result.Schema, Scenario: "fanout", Command: []string{"loadgen fanout", "--slo", "missing==0", "--channels", "it's"},
		Run: "abc", Started: "2026-11-23T12:00:00Z", Seconds: float64(seconds),
		Host:     probe.Host{Kernel: "6.1", CPUs: 2, Memory: 8 << 30, Go: "go1"},
		Settings: result.Settings{URL: "ws://127.0.0.1:8080", Transport: "ws", Connections: 1000, Channels: "<script>alert(1)</script>"},
		Counters: account.Counters{Ready: 1000, Open: 1000, Established: 1000, Delivered: 100000},
		Failures: map[account.Reason]uint64{"error: </table><b>": 3, "reset": 9},
		Connect:  result.Connect{PerSecond: 500, Handshake: account.Latency{Count: 1000, P50: 1e6, P99: 2e6, Max: 3e6}},
		Fanout:   &result.Sent{Due: account.Latency{Count: 100000, P50: 1e6, P99: 5e6, Max: 9e6}, DeliveredPS: 10000, Expected: 100000, Delivered: 100000, Asked: 100},
		Server:   &result.Server{PID: 7, Name: "gateway", After: probe.ProcessSample{RSS: 20 << 20}, RSSPerConnection: 600},
		Failed:   []string{"</li><script>"}, Warnings: []string{"mind & this"},
		Knobs: []preflight.Finding{{Name: "fs.nr_open", Verdict: preflight.Pass, Value: "9"}, {Name: "RLIMIT_NOFILE hard", Verdict: preflight.Fix, Fix: "prlimit"}},
	}
	for i := range seconds {
		r.Series = append(r.Series, sample(i))
	}
	slos, err := result.ParseSLOs([]string{"missing==0", "rss_per_conn<500B"})
	if err != nil {
		panic(err)
	}
	r.Judge(slos)
	return r
}

// write makes a run directory of a result, second by second.
func write(t *testing.T, path string, r *result.Result) {
	t.Helper()
	d, err := Create(path, true)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1795438753, 0)
	for i, s := range r.Series {
		at := began.Add(time.Duration(i) * time.Second)
		l := account.NewRecorder()
		for _, ns := range []int64{int64(i+1) * 1e6, 5e6} {
			account.Record(l[account.OfDelivery], ns)
		}
		account.Record(l[account.OfHandshake], 2e6)
		d.Interval(result.Interval{Start: at, End: at.Add(time.Second), Latencies: &l})
		d.Sample(s)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory has its name before it is whole: %v", err)
	}
	if text, err := os.ReadFile(path + ".partial/UNFINISHED"); err != nil || !strings.Contains(string(text), "has not ended") {
		t.Errorf("the unfinished directory doesn't say so: %q, %v", text, err)
	}
	if err := d.Finish(r.WriteJSON); err != nil {
		t.Fatal(err)
	}
}

func TestRunDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "run")
	r := madeUp(12)
	write(t, path, r)
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"latency.hlog", "report.html", "run.json", "series.csv"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if _, err := os.Stat(path + ".partial"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory beside it is left: %v", err)
	}

	run, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := json.Marshal(r)
	after, _ := json.Marshal(run.Result)
	if !bytes.Equal(before, after) {
		t.Errorf("read back\n%s\nwant\n%s", after, before)
	}
	if h := run.Latencies["delivery"]; h == nil || h.TotalCount() != 24 || h.ValueAtPercentile(100)/1e4 != 1201 && h.Max() < 12e6 {
		t.Errorf("latencies read back: %v", h)
	}
	if h := run.Latencies["handshake"]; h == nil || h.TotalCount() != 12 {
		t.Errorf("handshakes read back: %v", h)
	}

	f, err := os.Open(filepath.Join(path, "series.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != 13 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	column := func(name string) int { return slices.Index(lines[0], name) }
	if got := lines[1][column("latency_p99_ns")]; got != "" {
		t.Errorf("a second without deliveries has a latency of %s", got)
	}
	if last := lines[12]; last[column("seconds")] != "12.000" || last[column("delivered")] != "110000" || last[column("server_rss_bytes")] != "20971520" {
		t.Errorf("the last line is %q", last)
	}
}

func TestCreateRefuses(t *testing.T) {
	base := t.TempDir()
	for _, dir := range []string{"full", "taken.partial", "empty"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"full/x", "file"} {
		if err := os.WriteFile(filepath.Join(base, file), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]string{
		"full":     "is not empty",
		"taken":    "taken.partial is in the way",
		"file":     "can't be used: not a directory",
		"file/sub": "can't be",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Create(filepath.Join(base, name), true)
			usage := (*plan.UsageError)(nil)
			if !errors.As(err, &usage) || usage.Flag != "--out" || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	// An empty directory may be named, and a run that did not begin leaves
	// nothing.
	d, err := Create(filepath.Join(base, "empty"), true)
	if err != nil {
		t.Fatal(err)
	}
	d.Abandon()
	if _, err := os.Stat(filepath.Join(base, "empty.partial")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	write(t, filepath.Join(base, "later"), madeUp(1))
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":       {nil, "not a run directory"},
		"killed":        {map[string]string{"UNFINISHED": note}, "has not ended, or was killed"},
		"no JSON":       {map[string]string{"run.json": "{"}, "unexpected end"},
		"other schema":  {map[string]string{"run.json": `{"schema":"pushgate.loadgen/9"}`}, `schema "pushgate.loadgen/9", want`},
		"broken log":    {map[string]string{"run.json": `{"schema":"pushgate.loadgen/1"}`, "latency.hlog": "Tag=a,1,1,1,HISTFAAAA!\n"}, "latency.hlog"},
		"log of rubble": {map[string]string{"run.json": `{"schema":"pushgate.loadgen/1"}`, "latency.hlog": "1,1,1,\n"}, "latency.hlog"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestPage looks into the page, and into the figures that its script draws.
func TestPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	write(t, path, madeUp(12))
	text, err := os.ReadFile(filepath.Join(path, Page))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{
		"<title>SLO MISSED: loadgen fanout</title>", "prefers-color-scheme:dark", `name="viewport"`,
		`--slo missing==0 --channels`, "it&#39;\\&#39;&#39;s", "&lt;script&gt;alert(1)", "mind &amp; this", "error: &lt;/table&gt;",
		"'Delivery latency'", "MiB", "rss_per_conn&lt;500B", "Copyright (c) 2022 Leon Sorokin",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	ours := strings.ReplaceAll(page, file("uplot/uplot.iife.min.js"), "")
	for _, never := range []string{"<script>alert", "http://", "https://", "src=", "url(", "@import", ":NaN", "Inf", "ZgotmplZ", "json: "} {
		if strings.Contains(ours, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if strings.Index(page, ">RLIMIT_NOFILE hard<") > strings.Index(page, ">fs.nr_open<") {
		t.Error("what is to fix doesn't come first")
	}
	if !strings.Contains(page, file("uplot/uplot.iife.min.js")) || !strings.Contains(page, file("page.js")) {
		t.Error("the page doesn't bring its scripts as they are")
	}
	_, rest, _ := strings.Cut(page, `id="plots">`)
	data, _, _ := strings.Cut(rest, "</script>")
	var drawn struct {
		Series, Percentiles map[string][]*float64
		Phases              []phase
	}
	if err := json.Unmarshal([]byte(data), &drawn); err != nil {
		t.Fatal(err)
	}
	for name, values := range drawn.Series {
		if len(values) != 12 {
			t.Errorf("%d values of %s, want 12", len(values), name)
		}
	}
	if p99 := drawn.Series["latency_p99_ns"]; p99[1] != nil || *p99[2] != 7e6 {
		t.Errorf("latencies %v, want none before the first delivery", p99)
	}
	if want := []phase{{"connect", 2}, {"publish", 12}}; !slices.Equal(drawn.Phases, want) {
		t.Errorf("phases %v, want %v", drawn.Phases, want)
	}
	// 24 values reach to the 41st step: 1 - 10^(-41/30) of them is 22.97.
	if n := len(drawn.Percentiles["delivery"]); n != 42 {
		t.Errorf("%d points of the percentiles, want 42", n)
	}
	// Every column that the script draws is there.
	for _, used := range regexp.MustCompile(`series\.([a-z0-9_]+)`).FindAllStringSubmatch(file("page.js"), -1) {
		if drawn.Series[used[1]] == nil {
			t.Errorf("page.js draws %s, which is no column", used[1])
		}
	}

	// Rendered again, it is the same.
	if err := WritePage(path); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(filepath.Join(path, Page)); !bytes.Equal(again, text) {
		t.Error("rendered again, the page is another")
	}
	if left, _ := filepath.Glob(filepath.Join(path, Page+".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestPageOfLittle renders runs with nothing in them: none may fail.
func TestPageOfLittle(t *testing.T) {
	for name, r := range map[string]*result.Result{
		"nothing":     {Schema: result.Schema},
		"one second":  {Schema: result.Schema, Series: []result.Sample{{Seconds: 1, Open: 1}}},
		"interrupted": {Schema: result.Schema, Interrupted: true, Failed: []string{"interrupted while holding"}},
		"long":        madeUp(5000),
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Render(&b, &Run{Result: r}); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String(), ":NaN") || b.Len() > 300<<10 {
				t.Errorf("%d bytes", b.Len())
			}
			if got := strings.Contains(b.String(), "INTERRUPTED"); got != r.Interrupted {
				t.Errorf("says interrupted: %v", got)
			}
		})
	}
}

// TestPaletteContrast holds the colours to WCAG's contrast ratios.
func TestPaletteContrast(t *testing.T) {
	schemes := regexp.MustCompile(`:root\{([^}]*)\}`).FindAllStringSubmatch(file("page.css"), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d colour schemes, want a light and a dark one", len(schemes))
	}
	for scheme, css := range schemes {
		colours := map[string]string{}
		for _, v := range regexp.MustCompile(`--([a-z0-9]+):(#[0-9a-f]{6});`).FindAllStringSubmatch(css[1], -1) {
			colours[v[1]] = v[2]
		}
		if len(colours) != 12 {
			t.Errorf("scheme %d has %d colours", scheme, len(colours))
		}
		for name, colour := range colours {
			need := 3.0
			switch name {
			case "page", "panel", "grid":
				continue
			case "text", "muted", "good", "bad", "caution":
				need = 4.5
			}
			for _, ground := range []string{"page", "panel"} {
				if c := contrast(t, colour, colours[ground]); c < need {
					t.Errorf("scheme %d: %s on %s: contrast %.1f, want %.1f", scheme, name, ground, c, need)
				}
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance is the relative one of WCAG 2.2.
func luminance(t *testing.T, colour string) float64 {
	var rgb [3]uint8
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
		t.Fatalf("%s: %v", colour, err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(rgb[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}
