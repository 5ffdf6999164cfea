package page

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	long := strings.Repeat("word ", 30)
	table := "| a | " + long + "|\n|---|---|"
	fence := "```sh\n" + long + "\n```"
	got := Wrap("\n# Title\n\n\n  \n" + long + "\n\n" + table + "\n\n" + fence + "\n\n")
	want := "# Title\n\n" + strings.TrimSpace(strings.Repeat("word ", 24)) + "\n" + strings.TrimSpace(strings.Repeat("word ", 6)) +
		"\n\n" + table + "\n\n" + fence + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A page with a figure that is none is not written over a good one.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "PAGE.md")
	write := func(v float64) error { return Write(file, "{{comma .}} and {{.}}\n", nil, v) }
	if err := write(12345); err != nil {
		t.Fatal(err)
	}
	if err := write(math.NaN()); err == nil {
		t.Error("NaN was written")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "12,345 and 12345\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	for _, name := range []string{"b", "a"} {
		if err := Keep(dir, name, map[string]string{"name": name}); err != nil {
			t.Fatal(err)
		}
	}
	type result struct{ Name string }
	if all, err := Kept[result](dir, "*"); err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := Kept[result](dir, "c"); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if err := KeepText(dir, "broken", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := Kept[result](dir, "*"); err == nil || !strings.Contains(err.Error(), "broken.json") {
		t.Errorf("%v", err)
	}
}
