// Package page writes the benchmarks' pages from templates and keeps the results
// that they are made from.
package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/bench/chart"
)

// functions are those of every template.
var functions = template.FuncMap{
	// comma writes any number with a comma between thousands.
	"comma": func(v any) string {
		switch v := v.(type) {
		case int:
			return chart.Grouped(float64(v))
		case int64:
			return chart.Grouped(float64(v))
		}
		return chart.Grouped(v.(float64))
	},
	"mib": func(bytes int64) string { return chart.Grouped(float64(bytes >> 20)) },
	// columns are the rule under the head of a table: one with text and so many
	// with numbers.
	"columns": func(numbers int) string { return "|---|" + strings.Repeat("---:|", numbers) },
}

// Draw writes a line chart into a folder beside the page and returns the link to
// it. logs names the axes that are logarithmic.
func Draw(dir, file, title, x, y, logs string, lines ...chart.Line) (string, error) {
	c := chart.Lines{File: file, Title: title, X: x, Y: y, Lines: lines}
	c.LogX, c.LogY = strings.Contains(logs, "x"), strings.Contains(logs, "y")
	return filepath.Base(dir) + "/" + file, c.Write(dir)
}

// Template parses the text of a page, or of several.
func Template(text string, more template.FuncMap) (*template.Template, error) {
	return template.New("page").Funcs(functions).Funcs(more).Parse(text)
}

// Fill fills a template.
func Fill(t *template.Template, data any) (string, error) {
	var b strings.Builder
	err := t.Execute(&b, data)
	return b.String(), err
}

// Write fills a template and writes the page.
func Write(file, text string, more template.FuncMap, data any) error {
	t, err := Template(text, more)
	if err != nil {
		return err
	}
	filled, err := Fill(t, data)
	if err != nil {
		return err
	}
	return chart.WritePage(file, []byte(filled))
}

// width is how long a wrapped page's lines are, tables and headings aside.
const width = 120

// Wrap breaks the lines of a page's paragraphs, and leaves one blank line
// between any two.
func Wrap(text string) string {
	var b strings.Builder
	for _, paragraph := range regexp.MustCompile(`\n\s*\n`).Split(strings.TrimSpace(text), -1) {
		if strings.HasPrefix(paragraph, "|") || strings.HasPrefix(paragraph, "```") {
			b.WriteString(paragraph + "\n\n")
			continue
		}
		column := 0
		for word := range strings.FieldsSeq(paragraph) {
			switch {
			case column == 0:
			case column+1+len(word) > width:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
		b.WriteString("\n\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// Keep writes a result beside the charts, so that the page can be made again.
func Keep(dir, name string, result any) error {
	text, err := json.MarshalIndent(result, "", " ")
	return errors.Join(err, KeepText(dir, name, append(text, '\n')))
}

// KeepText is Keep for a result that is JSON already.
func KeepText(dir, name string, text []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), text, 0o644)
}

// Kept reads the results whose names match a pattern, in the order of their
// names.
func Kept[T any](dir, pattern string) ([]*T, error) {
	names, err := filepath.Glob(filepath.Join(dir, pattern+".json"))
	if err != nil {
		return nil, err
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
	return all, nil
}
