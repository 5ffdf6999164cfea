package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
)

// chart is a line chart.
type chart struct {
	file, title string
	x, y        string // what the axes say
	lines       []line
}

// line is one series of a chart; dashed is for what was planned.
type line struct {
	name   string
	dashed bool
	xs, ys []float64
}

// Size of a chart and of the space around its plot, in pixels.
const (
	chartWidth, chartHeight = 720, 320
	left, right, top, under = 76, 20, 40, 48
)

var chartColors = []string{"#1f6feb", "#cf5c00", "#2da44e"}

// write draws the chart into a folder as SVG. It brings its own white ground,
// so that it can be read on a dark page.
func (c chart) write(dir string) error {
	var xMost, yMost float64
	for _, l := range c.lines {
		for i := range l.xs {
			xMost, yMost = max(xMost, l.xs[i]), max(yMost, l.ys[i])
		}
	}
	xStep, yStep := tickStep(xMost), tickStep(yMost)
	xMost, yMost = max(xMost, xStep), math.Ceil(max(yMost, yStep)/yStep)*yStep
	px := func(x float64) float64 { return left + x/xMost*(chartWidth-left-right) }
	py := func(y float64) float64 { return chartHeight - under - y/yMost*(chartHeight-top-under) }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="15" fill="#111">%s</text>`+"\n", left, html.EscapeString(c.title))
	for y := 0.0; y <= yMost*1.001; y += yStep {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, py(y), chartWidth-right, left-6, py(y)+4, grouped(y))
	}
	for x := 0.0; x <= xMost*1.001; x += xStep {
		fmt.Fprintf(&b, `<path d="M%.1f %dv5" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			px(x), chartHeight-under, px(x), chartHeight-under+18, grouped(x))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", chartWidth-right, chartHeight-10, html.EscapeString(c.x))
	fmt.Fprintf(&b, `<text x="%d" y="34">%s</text>`+"\n", left, html.EscapeString(c.y))
	for i, l := range c.lines {
		color, dash := chartColors[i%len(chartColors)], ""
		if l.dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2"%s points="`, color, dash)
		for k := range l.xs {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(l.xs[k]), py(l.ys[k]))
		}
		b.WriteString(`"/>` + "\n")
		if len(c.lines) > 1 {
			fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+12, top+18+16*i, color, html.EscapeString(l.name))
		}
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(filepath.Join(dir, c.file), b.Bytes(), 0o644)
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

// grouped writes a number with a comma between thousands, and with the digits
// after the point that a small one needs.
func grouped(v float64) string {
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
