package page

import (
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

// A page with a figure that is none is not written over a good one.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "PAGE.md")
	fill := func(v float64) error { return Write(file, "{{comma .}} and {{.}}\n", nil, v) }
	if err := fill(12345); err != nil {
		t.Fatal(err)
	}
	if err := fill(math.NaN()); err == nil {
		t.Error("NaN was written")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "12,345 and 12345\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// A figure that is none is found among words, and named by its line.
func TestNoFigure(t *testing.T) {
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
		err := write(file, []byte(text))
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

func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	type result struct{ Name string }
	if _, err := Kept[result](dir); err == nil {
		t.Error("an empty folder has results")
	}
	for _, name := range []string{"b", "a"} {
		if err := Keep(dir, name, result{name}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := Kept[result](dir); err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
		t.Errorf("%v, %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Kept[result](dir); err == nil || !strings.Contains(err.Error(), "broken.json") {
		t.Errorf("%v", err)
	}
}
