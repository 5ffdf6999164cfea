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
