package page

import (
	"bytes"
	"fmt"
	"html"
	"path/filepath"
)

// Size of a chart and of the space around its plot, and the width of a letter, in
// pixels.
const (
	width, height           = 720, 320
	left, right, top, under = 76, 24, 48, 48
	letter                  = 6.6 // about
)

var colors = []string{"#1f6feb", "#cf5c00", "#2da44e", "#8250df"}

// open begins a chart with its title. It brings its own white ground, so that it
// can be read on a dark page.
func open(b *bytes.Buffer, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n", width, height)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(b, `<text x="%d" y="20" font-size="15" fill="#111">%s</text>`+"\n", left, html.EscapeString(title))
}

// finish ends the chart, writes it into a folder beside the page and returns the
// link to it.
func finish(b *bytes.Buffer, dir, file string) (link string, err error) {
	b.WriteString("</svg>\n")
	return filepath.Base(dir) + "/" + file, write(filepath.Join(dir, file), b.Bytes())
}
