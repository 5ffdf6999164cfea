// Package page writes the benchmarks' pages: from templates, with charts, and
// from results that are kept beside them.
package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// functions are those of every template.
var functions = template.FuncMap{
	// comma writes any number with a comma between thousands.
	"comma": func(v any) string {
		switch v := v.(type) {
		case int:
			return Grouped(float64(v))
		case int64:
			return Grouped(float64(v))
		}
		return Grouped(v.(float64))
	},
	"mib": func(bytes int64) string { return Grouped(float64(bytes >> 20)) },
	// columns are the rule under the head of a table: one with text and so many
	// with numbers.
	"columns": func(numbers int) string { return "|---|" + strings.Repeat("---:|", numbers) },
}

// Write fills a template and writes the page.
func Write(file, text string, more template.FuncMap, data any) error {
	t, err := template.New("page").Funcs(functions).Funcs(more).Parse(text)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return err
	}
	return write(file, b.Bytes())
}

// noFigure matches a number that is none, or a value that does not fit its
// format, as Go writes them.
var noFigure = regexp.MustCompile(`(^|[^A-Za-z])(NaN|[+-]?Inf)($|[^A-Za-z])|%!`)

// write writes a page or a drawing, unless a figure in it is none: then the
// old one stays.
func write(file string, text []byte) error {
	if at := noFigure.FindIndex(text); at != nil {
		before := bytes.LastIndexByte(text[:at[0]+1], '\n') + 1
		line, _, _ := bytes.Cut(text[before:], []byte("\n"))
		return fmt.Errorf("%s: a figure is none: %s", file, line)
	}
	return os.WriteFile(file, text, 0o644)
}

// Grouped writes a number with a comma between thousands, and with the digits
// after the point that a small one needs.
func Grouped(v float64) string {
	if v != math.Trunc(v) && v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", math.Abs(v))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}

// Keep writes a result beside the charts, so that the page can be made again.
func Keep(dir, name string, result any) error {
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o644)
}

// Kept reads all results of a folder, one at least, in the order of their names.
func Kept[T any](dir string) ([]*T, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no result in %s", dir)
	}
	var all []*T
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		r := new(T)
		if err := json.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	return all, err
}
