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
)

// Lines is a line chart.
type Lines struct {
	File, Title string
	X, Y        string // what the axes say
	Lines       []Line
}

// Line is one series of a chart; dashed is for what was planned.
type Line struct {
	Name   string
	Dashed bool
	Xs, Ys []float64
}

// Size of a chart and of the space around its plot, in pixels.
const (
	width, height           = 720, 320
	left, right, top, under = 76, 20, 40, 48
)

var colors = []string{"#1f6feb", "#cf5c00", "#2da44e"}

// Write draws the chart into a folder.
func (c Lines) Write(dir string) error {
	var xMost, yMost float64
	for _, l := range c.Lines {
		for i := range l.Xs {
			xMost, yMost = max(xMost, l.Xs[i]), max(yMost, l.Ys[i])
		}
	}
	xStep, yStep := tickStep(xMost), tickStep(yMost)
	xMost, yMost = max(xMost, xStep), math.Ceil(max(yMost, yStep)/yStep)*yStep
	px := func(x float64) float64 { return left + x/xMost*(width-left-right) }
	py := func(y float64) float64 { return height - under - y/yMost*(height-top-under) }

	var b bytes.Buffer
	open(&b, height, c.Title)
	for y := 0.0; y <= yMost*1.001; y += yStep {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, py(y), width-right, left-6, py(y)+4, Grouped(y))
	}
	for x := 0.0; x <= xMost*1.001; x += xStep {
		fmt.Fprintf(&b, `<path d="M%.1f %dv5" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			px(x), height-under, px(x), height-under+18, Grouped(x))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", width-right, height-10, html.EscapeString(c.X))
	fmt.Fprintf(&b, `<text x="%d" y="34">%s</text>`+"\n", left, html.EscapeString(c.Y))
	for i, l := range c.Lines {
		color, dash := colors[i%len(colors)], ""
		if l.Dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2"%s points="`, color, dash)
		for k := range l.Xs {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(l.Xs[k]), py(l.Ys[k]))
		}
		b.WriteString(`"/>` + "\n")
		if len(c.Lines) > 1 {
			fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+12, top+18+16*i, color, html.EscapeString(l.Name))
		}
	}
	return finish(&b, dir, c.File)
}

// open begins a drawing with its title.
func open(b *bytes.Buffer, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n", width, height)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(b, `<text x="%d" y="20" font-size="15" fill="#111">%s</text>`+"\n", left, html.EscapeString(title))
}

// finish ends the drawing and writes it.
func finish(b *bytes.Buffer, dir, file string) error {
	b.WriteString("</svg>\n")
	return os.WriteFile(filepath.Join(dir, file), b.Bytes(), 0o644)
}

// tickStep returns a round distance that has an axis of this length marked four
// to eight times.
func tickStep(length float64) float64 {
	if length <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(length)))
	switch {
	case length/step >= 8:
		return step * 2
	case length/step >= 4:
		return step
	case length/step >= 2:
		return step / 2
	}
	return step / 5
}
