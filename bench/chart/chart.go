// Package chart draws the charts of the benchmarks' pages, as SVG. They bring
// their own white ground, so that they can be read on a dark page.
package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Size of a chart and of the space around its plot, and the width of a letter, in
// pixels.
const (
	width, height           = 720, 320
	left, right, top, under = 76, 24, 48, 48
	letter                  = 6.6 // about
)

var colors = []string{"#1f6feb", "#cf5c00", "#2da44e", "#8250df"}

// open begins a drawing with its title.
func open(b *bytes.Buffer, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n", width, height)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(b, `<text x="%d" y="20" font-size="15" fill="#111">%s</text>`+"\n", left, html.EscapeString(title))
}

// finish ends the drawing and writes it.
func finish(b *bytes.Buffer, dir, file string) error {
	b.WriteString("</svg>\n")
	return WritePage(filepath.Join(dir, file), b.Bytes())
}

// noFigure matches a number that is none, or a value that does not fit its
// format, as Go writes them.
var noFigure = regexp.MustCompile(`(^|[^A-Za-z])(NaN|[+-]?Inf)($|[^A-Za-z])|%!`)

// WritePage writes a page or a drawing, unless a figure in it is none: then the
// old one stays.
func WritePage(file string, text []byte) error {
	if at := noFigure.FindIndex(text); at != nil {
		before := strings.LastIndexByte(string(text[:at[0]+1]), '\n') + 1
		line, _, _ := strings.Cut(string(text[before:]), "\n")
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
