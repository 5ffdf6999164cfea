// Package chart draws the charts of the benchmarks' pages, as SVG. They bring
// their own white ground, so that they can be read on a dark page.
package chart

import (
	"bytes"
	"fmt"
	"html"
	"path/filepath"
	"slices"
)

// Lines is a line chart. Its axes begin at 0 unless they are logarithmic; a
// logarithmic one is drawn as a plain one where a value isn't over 0.
type Lines struct {
	File, Title string
	X, Y        string // what the axes say
	LogX, LogY  bool
	Lines       []Line
}

// Line is one series of a chart; dashed is for what was planned. With Low and
// High, each point has a bar from the least to the most.
type Line struct {
	Name      string
	Dashed    bool
	Xs, Ys    []float64
	Low, High []float64
}

// Size of a chart and of the space around its plot, and the width of a letter, in
// pixels.
const (
	width, height           = 720, 320
	left, right, top, under = 76, 24, 48, 48
	letter                  = 6.6 // about
)

var colors = []string{"#1f6feb", "#cf5c00", "#2da44e", "#8250df"}

// axes fit what is drawn.
func (c Lines) axes() (x, y axis) {
	var xs, ys []float64
	for _, l := range c.Lines {
		xs = append(xs, l.Xs...)
		ys = slices.Concat(ys, l.Ys, l.Low, l.High)
	}
	if len(xs) == 0 {
		return linear(0, false), linear(0, true)
	}
	x, y = linear(slices.Max(xs), false), linear(slices.Max(ys), true)
	if low := slices.Min(xs); c.LogX && low > 0 {
		x = logarithmic(low, slices.Max(xs))
	}
	if low := slices.Min(ys); c.LogY && low > 0 {
		y = logarithmic(low/1.3, slices.Max(ys)*1.3)
	}
	return x, y
}

// Write draws the chart into a folder.
func (c Lines) Write(dir string) error {
	x, y := c.axes()
	px := func(v float64) float64 { return left + x.at(v)*(width-left-right) }
	py := func(v float64) float64 { return height - under - y.at(v)*(height-top-under) }

	var b bytes.Buffer
	open(&b, height, c.Title)
	for _, v := range y.ticks {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, py(v), width-right, left-6, py(v)+4, Grouped(v))
	}
	for _, v := range x.ticks {
		text := Grouped(v)
		middle := min(px(v), width-float64(len(text))*letter/2) // or half of it would stand out
		fmt.Fprintf(&b, `<path d="M%.1f %dv5" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			px(v), height-under, middle, height-under+18, text)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", width-right, height-10, html.EscapeString(c.X))
	fmt.Fprintf(&b, `<text x="%d" y="38">%s</text>`+"\n", left, html.EscapeString(c.Y))
	legend := left + float64(len(c.Y)+4)*letter
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
		for k := range l.Low {
			fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" stroke="%s"/><circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n",
				px(l.Xs[k]), py(l.Low[k]), py(l.High[k]), color, px(l.Xs[k]), py(l.Ys[k]), color)
		}
		if len(c.Lines) > 1 {
			fmt.Fprintf(&b, `<text x="%.0f" y="38" fill="%s">%s</text>`+"\n", legend, color, html.EscapeString(l.Name))
			legend += float64(len(l.Name)+3) * letter
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
	return WritePage(filepath.Join(dir, file), b.Bytes())
}
