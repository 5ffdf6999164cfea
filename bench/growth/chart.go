package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// chart is a line chart. Its x axis is logarithmic but for a few plain numbers.
type chart struct {
	file, title    string
	x, y           string // what the axes say
	plainX, plainY bool   // linear from 0
	lines          []line
}

// line is one series: the median of each point, and a bar from the least to the
// most.
type line struct {
	name string
	xs   []float64
	ys   []values
}

// lineOf draws a figure of some steps.
func lineOf(name string, steps []*step, of func(*step) values) line {
	l := line{name: name}
	for _, s := range steps {
		l.xs, l.ys = append(l.xs, s.At), append(l.ys, of(s))
	}
	return l
}

// Size of a chart and of the space around its plot, in pixels.
const (
	chartWidth, chartHeight = 720, 320
	left, right, top, under = 76, 24, 48, 48
	letter                  = 6.6 // about as wide as one is
)

var chartColours = []string{"#1f6feb", "#cf5c00", "#2da44e", "#8250df"}

// axis maps values to a part of the drawing.
type axis struct {
	low, high float64
	plain     bool
	ticks     []float64
}

// newAxis returns one for values between two, with round ticks.
func newAxis(low, high float64, plain bool) axis {
	if plain || low <= 0 {
		high = max(high, 1e-9)
		step := math.Pow(10, math.Floor(math.Log10(high)))
		switch {
		case high/step < 2:
			step /= 5
		case high/step < 5:
			step /= 2
		}
		a := axis{high: math.Ceil(high/step-1e-9) * step, plain: true}
		for v := 0.0; v <= a.high*1.001; v += step {
			a.ticks = append(a.ticks, v)
		}
		return a
	}
	a := axis{low: low, high: max(high, low*10)}
	marks := []float64{1}
	if a.high/a.low < 200 {
		marks = []float64{1, 2, 5}
	}
	for power := math.Pow(10, math.Floor(math.Log10(a.low))); power <= a.high; power *= 10 {
		for _, m := range marks {
			if v := m * power; v >= a.low*0.999 && v <= a.high*1.001 {
				a.ticks = append(a.ticks, v)
			}
		}
	}
	return a
}

// at returns where v is between 0 and 1.
func (a axis) at(v float64) float64 {
	if a.plain {
		return v / a.high
	}
	return (math.Log10(max(v, a.low)) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
}

// axes fit what is drawn.
func (c chart) axes() (x, y axis) {
	var xs, ys []float64
	for _, l := range c.lines {
		xs = append(xs, l.xs...)
		for _, v := range l.ys {
			ys = append(ys, v...)
		}
	}
	y = newAxis(slices.Min(ys)/1.3, slices.Max(ys)*1.3, false)
	if c.plainY || y.plain {
		y = newAxis(0, slices.Max(ys), true)
	}
	return newAxis(slices.Min(xs), slices.Max(xs), c.plainX), y
}

// write draws the chart into a folder as SVG. It brings its own white ground, so
// that it can be read on a dark page.
func (c chart) write(dir string) error {
	x, y := c.axes()
	px := func(v float64) float64 { return left + x.at(v)*(chartWidth-left-right) }
	py := func(v float64) float64 { return chartHeight - under - y.at(v)*(chartHeight-top-under) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="15" fill="#111">%s</text>`+"\n", left, html.EscapeString(c.title))
	fmt.Fprintf(&b, `<text x="%d" y="36">%s</text>`+"\n", left, html.EscapeString(c.y))
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", chartWidth-right, chartHeight-10, html.EscapeString(c.x))
	for _, v := range y.ticks {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, py(v), chartWidth-right, left-6, py(v)+4, tickText(v))
	}
	for _, v := range x.ticks {
		text := tickText(v)
		middle := min(px(v), chartWidth-float64(len(text))*letter/2) // or half of it would stand out
		fmt.Fprintf(&b, `<path d="M%.1f %dv5" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", px(v), chartHeight-under, middle, chartHeight-under+18, text)
	}
	legend := left + 60.0
	for i, l := range c.lines {
		colour := chartColours[i%len(chartColours)]
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
		for k, v := range l.ys {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(l.xs[k]), py(v.mid()))
		}
		b.WriteString(`"/>` + "\n")
		for k, v := range l.ys {
			fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" stroke="%s"/><circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n",
				px(l.xs[k]), py(slices.Min(v)), py(slices.Max(v)), colour, px(l.xs[k]), py(v.mid()), colour)
		}
		if len(c.lines) > 1 {
			fmt.Fprintf(&b, `<text x="%.0f" y="36" fill="%s">%s</text>`+"\n", legend, colour, html.EscapeString(l.name))
			legend += float64(len(l.name)+3) * letter
		}
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(filepath.Join(dir, c.file), b.Bytes(), 0o644)
}

// tickText writes a round number.
func tickText(v float64) string {
	if v >= 1000 {
		return grouped(v)
	}
	return fmt.Sprintf("%.4g", v)
}
