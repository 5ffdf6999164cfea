package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
)

// Lines is a line chart. Its axes begin at 0 unless they are logarithmic; a
// logarithmic one is drawn as a plain one where a value isn't over 0.
type Lines struct {
	File, Title string
	X, Y        string // the axes' labels
	LogX, LogY  bool
	Lines       []Line
}

// Line is one series of a chart; dashed is for plans. With Low and
// High, each point has a bar from the least to the most.
type Line struct {
	Name      string
	Dashed    bool
	Xs, Ys    []float64
	Low, High []float64
}

// axes hold all of the lines.
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

// axis maps values to a part of the drawing.
type axis struct {
	low, high float64
	log       bool
	ticks     []float64
}

// linear returns an axis from 0 to most, or to the next tick where it's to be
// whole, with four to eight round ticks.
func linear(most float64, whole bool) axis {
	step := tickStep(most)
	a := axis{high: max(most, step)}
	if whole {
		a.high = math.Ceil(a.high/step-1e-9) * step
	}
	for v := 0.0; v <= a.high*1.001; v += step {
		a.ticks = append(a.ticks, v)
	}
	return a
}

// logarithmic returns an axis between two values over 0, with ticks at the
// powers of ten, and at 2 and 5 where there are few of these.
func logarithmic(low, high float64) axis {
	a := axis{low: low, high: max(high, low*10), log: true}
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
	if a.log {
		return (math.Log10(max(v, a.low)) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
	}
	return v / a.high
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
