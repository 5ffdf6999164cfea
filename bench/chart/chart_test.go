package chart

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

func TestGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 999: "999", 1000: "1,000", 1234567: "1,234,567", -4321: "-4,321", 1234.5: "1,234"} {
		if got := Grouped(v); got != want {
			t.Errorf("Grouped(%v) is %q, want %q", v, got, want)
		}
	}
}

// TestBars draws a chart whose longest bar fills the plot and whose texts are
// whole.
func TestBars(t *testing.T) {
	dir := t.TempDir()
	c := Bars{
		File: "bars.svg", Title: "a < b", Series: []string{"one", "two"},
		Bars: []Bar{{"first & last", []float64{50, 1234}}, {"none", []float64{0, math.NaN()}}},
	}
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "bars.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a &lt; b", "first &amp; last", ">50<", ">1,234<", ">0<", ">none<", ">one<", ">two<", `width="460.0"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), `height="13" fill=`); n != 3+2 { // a bar for each value, and the legend
		t.Errorf("%d bars and keys, want 5", n)
	}
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// An axis holds all values and has a few round ticks.
func TestAxis(t *testing.T) {
	tests := map[string]struct {
		a           axis
		most        float64
		first, last float64
		ticks       int
	}{
		"decades":       {logarithmic(50, 19000), 19000, 100, 10000, 3},
		"on a decade":   {logarithmic(1, 1000), 1000, 1, 1000, 4},
		"two decades":   {logarithmic(1000, 19000), 19000, 1000, 10000, 4},
		"within one":    {logarithmic(2, 7), 7, 2, 20, 4},
		"linear, whole": {linear(8.4, true), 8.4, 0, 10, 6},
		"linear":        {linear(8.4, false), 8.4, 0, 8, 5},
		"a small one":   {linear(0.13, true), 0.13, 0, 0.14, 8},
		"nothing there": {linear(0, true), 0, 0, 1, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if at := tt.a.at(tt.most); at > 1.0001 || at < 0 {
				t.Errorf("%v is at %v", tt.most, at)
			}
			n := len(tt.a.ticks)
			if n != tt.ticks || math.Abs(tt.a.ticks[0]-tt.first) > 1e-12 || math.Abs(tt.a.ticks[n-1]-tt.last) > 1e-9*max(tt.last, 1) {
				t.Errorf("ticks %v, want %d from %v to %v", tt.a.ticks, tt.ticks, tt.first, tt.last)
			}
		})
	}
}

// TestLines draws a line with bars on logarithmic axes, and one on plain axes as
// it has a zero.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	line := Line{Name: "all", Xs: []float64{1, 10, 100}, Ys: []float64{10, 20, 40}, Low: []float64{5, 20, 40}, High: []float64{10, 20, 80}}
	for name, tt := range map[string]struct {
		change func(*Lines)
		want   []string
	}{
		"log":  {func(*Lines) {}, []string{`points="76.0,`, `x="386.0"`, ">10<", ">100<", ">all<", ">planned<", "stroke-dasharray"}},
		"zero": {func(c *Lines) { c.Lines[1].Ys[0] = 0 }, []string{`points="82.2,`, ">0<", ">80<"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := Lines{
				File: name + ".svg", Title: "title", X: "x", Y: "y", LogX: name == "log", LogY: true,
				Lines: []Line{line, {Name: "planned", Dashed: true, Xs: []float64{1, 100}, Ys: []float64{10, 30}}},
			}
			tt.change(&c)
			if err := c.Write(dir); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, c.File))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("no %s in\n%s", want, text)
				}
			}
			if n := strings.Count(string(text), "<circle"); n != 3 {
				t.Errorf("%d points with bars, want 3", n)
			}
		})
	}
}

// A page with a figure that is none is not written, and says where it is.
func TestWritePage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "PAGE.md")
	for text, bad := range map[string]bool{
		"Information on Infinity, NaNo and 100 %! of it": true,
		"Information on Infinity and NaNo":               false,
		"| 1 | NaN |":                                    true,
		"a\n| 2 | -Inf |\nb":                             true,
		"+Inf":                                           true,
		`y="NaN"`:                                        true,
		"%!d(string=a)":                                  true,
		"":                                               false,
	} {
		err := WritePage(file, []byte(text))
		if (err != nil) != bad {
			t.Errorf("%q: %v", text, err)
		}
		if strings.HasPrefix(text, "a\n") && !strings.HasSuffix(err.Error(), "a figure is none: | 2 | -Inf |") {
			t.Errorf("%v", err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
