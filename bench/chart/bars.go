package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Bars is a chart of lying bars, in groups.
type Bars struct {
	File, Title string
	Series      []string // names of the bars of each group
	Bars        []Bar
}

// Bar is one group: a value for each of the series, NaN where there is none.
type Bar struct {
	Name   string
	Values []float64
}

// Size of a bar and of the space around it.
const (
	names  = 180 // for the groups' names
	values = 80  // for the values behind the bars
	bar    = 13
	pitch  = 16
	apart  = 12
)

// Write draws the chart into a folder.
func (c Bars) Write(dir string) error {
	most := 0.0
	for _, g := range c.Bars {
		for _, v := range g.Values {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	group := pitch*len(c.Series) + apart
	var b bytes.Buffer
	open(&b, top+24+group*len(c.Bars), c.Title)
	x := left
	for i, name := range c.Series {
		fmt.Fprintf(&b, `<rect x="%d" y="34" width="13" height="%d" fill="%s"/><text x="%d" y="45">%s</text>`+"\n",
			x, bar, colors[i%len(colors)], x+18, html.EscapeString(name))
		x += 40 + 8*len(name)
	}
	for i, g := range c.Bars {
		y := top + 20 + group*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", names-8, y+pitch*len(c.Series)/2+4, html.EscapeString(g.Name))
		for k, v := range g.Values {
			if math.IsNaN(v) {
				continue
			}
			length := v / max(most, 1e-9) * (width - names - values)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
				names, y+pitch*k, length, bar, colors[k%len(colors)], names+length+6, y+pitch*k+11, Grouped(v))
		}
	}
	return finish(&b, dir, c.File)
}
