package page

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Line is one series of a line chart; dashed is for plans.
type Line struct {
	Name   string
	Dashed bool
	Points []Point
}

// Point is one of a line's.
type Point struct{ X, Y float64 }

// Lines draws a line chart, whose axes begin at 0, into a folder beside the page
// and returns the link to it; x and y are the axes' labels.
func Lines(dir, file, title, x, y string, lines ...Line) (link string, err error) {
	var most Point
	for _, l := range lines {
		for _, p := range l.Points {
			most = Point{max(most.X, p.X), max(most.Y, p.Y)}
		}
	}
	xStep, yStep := tickStep(most.X), tickStep(most.Y)
	xEnd, yEnd := max(most.X, xStep), yStep*max(1, math.Ceil(most.Y/yStep-1e-9))
	px := func(v float64) float64 { return left + v/xEnd*(width-left-right) }
	py := func(v float64) float64 { return height - under - v/yEnd*(height-top-under) }

	var b bytes.Buffer
	open(&b, height, title)
	for v := 0.0; v <= yEnd*1.001; v += yStep {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, py(v), width-right, left-6, py(v)+4, Grouped(v))
	}
	for v := 0.0; v <= xEnd*1.001; v += xStep {
		text := Grouped(v)
		middle := min(px(v), width-float64(len(text))*letter/2) // or half of it would stand out
		fmt.Fprintf(&b, `<path d="M%.1f %dv5" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			px(v), height-under, middle, height-under+18, text)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", width-right, height-10, html.EscapeString(x))
	fmt.Fprintf(&b, `<text x="%d" y="38">%s</text>`+"\n", left, html.EscapeString(y))
	legend := left + float64(len(y)+4)*letter
	for i, l := range lines {
		color, dash := colors[i%len(colors)], ""
		if l.Dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2"%s points="`, color, dash)
		for _, p := range l.Points {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(p.X), py(p.Y))
		}
		b.WriteString(`"/>` + "\n")
		if len(lines) > 1 {
			fmt.Fprintf(&b, `<text x="%.0f" y="38" fill="%s">%s</text>`+"\n", legend, color, html.EscapeString(l.Name))
			legend += float64(len(l.Name)+3) * letter
		}
	}
	return finish(&b, dir, file)
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
