package page

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drawn reads a chart that is to be whole XML.
func drawn(t *testing.T, dir, link string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), link))
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return string(text)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func contains(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// TestBars draws a chart whose longest bar fills the plot and whose texts are
// whole.
func TestBars(t *testing.T) {
	dir := t.TempDir()
	link, err := Bars(dir, "bars.svg", "a < b", []string{"one", "two"},
		[]Bar{{"first & last", []float64{50, 1234}}, {"none", []float64{0, math.NaN()}}})
	text := drawn(t, dir, link, err)
	contains(t, text, "a &lt; b", "first &amp; last", ">50<", ">1,234<", ">0<", ">none<", ">one<", ">two<", `width="460.0"`)
	if n := strings.Count(text, `height="13" fill=`); n != 3+2 { // a bar for each value, and the legend
		t.Errorf("%d bars and keys, want 5", n)
	}
}

func TestLines(t *testing.T) {
	dir := t.TempDir()
	link, err := Lines(dir, "lines.svg", "title", "x", "y",
		Line{Name: "all", Points: []Point{{1, 0}, {10, 20}, {100, 8.4}}}, Line{Name: "planned", Dashed: true, Points: []Point{{1, 10}}})
	text := drawn(t, dir, link, err)
	contains(t, text, `points="82.2,272.0 138.0,48.0 `, ">0<", ">20<", ">100<", ">all<", ">planned<", "stroke-dasharray")
	for name, lines := range map[string][]Line{"no line": nil, "no points": {{Name: "none"}}, "nothing there": {{Points: []Point{{0, 0}}}}} {
		link, err := Lines(dir, name+".svg", name, "x", "y", lines...)
		contains(t, drawn(t, dir, link, err), ">0<", ">1<")
	}
}

// An axis has four to eight round ticks.
func TestTickStep(t *testing.T) {
	for length, want := range map[float64]float64{0: 1, 0.13: 0.02, 1: 0.2, 2: 0.5, 8.4: 2, 4000: 1000, 19_000: 2000} {
		if got := tickStep(length); math.Abs(got-want) > 1e-12 {
			t.Errorf("tickStep(%v) is %v, want %v", length, got, want)
		}
	}
}
