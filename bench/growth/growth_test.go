package growth

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	loadresult "github.com/pushgate/pushgate/internal/loadgen/result"
)

// short is every part in a small form.
var short = scale{
	Tries:         1,
	Warmup:        500,
	Idle:          100 * time.Millisecond,
	Hold:          1200 * time.Millisecond,
	Deliveries:    5000,
	Connections:   []int{50, 100, 400},
	Clients:       100,
	Channels:      []int{1, 100},
	Own:           []int{2, 4},
	SpreadRate:    5000,
	SpreadFor:     500 * time.Millisecond,
	Subscribers:   50,
	Subscriptions: []int{1, 4, 16},
	Readers:       50,
	Sizes:         []int{64, 1 << 10, 64 << 10},
	SizeBytes:     16 << 20,
	Hot:           100,
	Quiet:         20,
	QuietRate:     50,
	Window:        1500 * time.Millisecond,
	Pairs:         1,
	Busy:          0.05,
}

// figuresOf are the figures of each step of a part.
var figuresOf = map[string][]figure{
	"connections":   {figureRSS, figureLive, figureCPU, figureKernel, figureLast, figureLastP99, figureMessages},
	"channels":      {figureRSS, figureLive, figureConnect, figureCPU, figureKernel, figurePerMsg, figureMessages},
	"subscriptions": {figureRSS, figureLive, figureConnect, figureCPU, figureKernel, figureLast, figureLastP99, figureMessages},
	"sizes":         {figureCPU, figureKernel, figureLast, figureLastP99, figureMessages},
	"hot":           {figureP50, figureP99, figureMax, figureHost},
}

var stepsOf = map[string]string{
	"connections":   "1,50,100,400",
	"channels":      "1,100,2 own,4 own,4 shared",
	"subscriptions": "1,4,16",
	"sizes":         "64 B,1 KiB,64 KiB,wide",
	"hot":           "without,with",
}

// All parts against real gateways and Redis servers: every figure of every step is
// there in every round, and the page and its charts come of it.
func TestGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const rounds = 1
	docs := t.TempDir()
	if err := run(t.Context(), []string{"-repeat", "1", "-docs", docs}, short); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		r, err := kept(filepath.Join(docs, "growth"), p.name)
		if err != nil || r == nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		var names []string
		for i, s := range r.Steps {
			names = append(names, s.Name)
			for _, f := range figuresOf[p.name] {
				if p.name == "connections" && i == 0 && f != figureRSS && f != figureLive {
					continue // one client is only there to be compared with
				}
				v := s.Of(f)
				if len(v) != rounds {
					t.Errorf("%s, %s: %d values of %s", p.name, s.Name, len(v), f)
				}
				for _, x := range v {
					if x <= 0 && f != figureKernel { // no tick may have fallen into it
						t.Errorf("%s, %s: %s is %v", p.name, s.Name, f, x)
					}
				}
			}
		}
		if got := strings.Join(names, ","); got != stepsOf[p.name] {
			t.Errorf("%s has the steps %s", p.name, got)
		}
	}
	hot, _ := kept(filepath.Join(docs, "growth"), "hot")
	if v := hot.at("with", 1).Of(figureRate); len(v) != rounds || v.Mid() < 100 {
		t.Errorf("the hot channel had %v deliveries a second", v)
	}
	checkPage(t, docs)

	// The page is made of the kept results, and of nothing else.
	before := read(t, filepath.Join(docs, "GROWTH.md"))
	if err := run(t.Context(), []string{"-render", "-docs", docs}, short); err != nil {
		t.Fatal(err)
	}
	if after := read(t, filepath.Join(docs, "GROWTH.md")); !bytes.Equal(before, after) {
		t.Errorf("rendered anew the page is another one:\n%s\n%s", before, after)
	}
}

// checkPage looks for holes in the page, and at its charts.
func checkPage(t *testing.T, docs string) {
	t.Helper()
	text := string(read(t, filepath.Join(docs, "GROWTH.md")))
	for _, bad := range []string{"NaN", "Inf", "%!", "[]", "| |\n"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q in it:\n%s", bad, text)
		}
	}
	charts := 0
	for line := range strings.Lines(text) {
		if _, name, ok := strings.Cut(line, "](growth/"); ok && strings.HasPrefix(line, "![") {
			charts++
			name = strings.TrimSuffix(strings.TrimSpace(name), ")")
			d := xml.NewDecoder(bytes.NewReader(read(t, filepath.Join(docs, "growth", name))))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Errorf("%s: %v", name, err)
					break
				}
			}
		}
	}
	if charts < len(parts) {
		t.Errorf("%d charts for %d parts", charts, len(parts))
	}
	for _, heading := range []string{"## Connections", "## Channels", "## Subscriptions of one connection", "## Size of messages", "## A hot channel beside quiet ones"} {
		if !strings.Contains(text, "\n"+heading+"\n") {
			t.Errorf("the page has no %q", heading)
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUsage(t *testing.T) {
	tests := map[string][]string{
		"unknown part":   {"-part", "connections,weather"},
		"no repetition":  {"-repeat", "0"},
		"argument":       {"all"},
		"nothing kept":   {"-render"},
		"unknown option": {"-fast"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), append([]string{"-docs", t.TempDir()}, args...), short); err == nil {
				t.Error("it ran")
			}
		})
	}
}

// A run that is not as it was to be ends the measurement.
func TestChecked(t *testing.T) {
	good := func() *loadresult.Result { return &loadresult.Result{Server: &loadresult.Server{PID: 1}} }
	tests := map[string]struct {
		change func(*loadresult.Result)
		err    error
		want   bool
	}{
		"good":           {func(*loadresult.Result) {}, nil, true},
		"can't begin":    {func(*loadresult.Result) {}, errors.New("no"), false},
		"missing":        {func(r *loadresult.Result) { r.Failed = []string{"1 of 2 deliveries are missing"} }, nil, false},
		"a gap":          {func(r *loadresult.Result) { r.Counters.Gaps = 1 }, nil, false},
		"an error":       {func(r *loadresult.Result) { r.Counters.Errors = 1 }, nil, false},
		"server unknown": {func(r *loadresult.Result) { r.Server = nil }, nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := good()
			tt.change(r)
			if _, err := checked(r, tt.err); (err == nil) != tt.want {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The page made of the results that are kept in the repository has no figure
// that is none, with several runs of a million clients too.
func TestKeptPage(t *testing.T) {
	docs := t.TempDir()
	for _, dir := range []string{"growth", "million"} {
		if err := os.CopyFS(filepath.Join(docs, dir), os.DirFS(filepath.Join("..", "..", "docs", dir))); err != nil {
			t.Fatal(err)
		}
	}
	again := filepath.Join(docs, "million", "1000000-again.json")
	if err := os.WriteFile(again, read(t, filepath.Join(docs, "million", "1000000-guest.json")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-render", "-docs", docs}, short); err != nil {
		t.Fatal(err)
	}
	checkPage(t, docs)
	want := read(t, filepath.Join("..", "..", "docs", "GROWTH.md"))
	if got := read(t, filepath.Join(docs, "GROWTH.md")); !bytes.Equal(got, want) {
		t.Errorf("docs/GROWTH.md is not made of what is kept, go run ./bench growth -render; it would be\n%s", got)
	}
}
