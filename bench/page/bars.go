package page

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Bar is one group of a bar chart: a value for each series, NaN where there is
// none.
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

// Bars draws a chart of lying bars, in groups, into a folder beside the page and
// returns the link to it.
func Bars(dir, file, title string, series []string, bars []Bar) (link string, err error) {
	most := 1e-9
	for _, g := range bars {
		for _, v := range g.Values {
			if v > most { // not a number is not
				most = v
			}
		}
	}
	group := pitch*len(series) + apart
	var b bytes.Buffer
	open(&b, top+24+group*len(bars), title)
	x := left
	for i, name := range series {
		fmt.Fprintf(&b, `<rect x="%d" y="34" width="13" height="%d" fill="%s"/><text x="%d" y="45">%s</text>`+"\n",
			x, bar, colors[i%len(colors)], x+18, html.EscapeString(name))
		x += 40 + 8*len(name)
	}
	for i, g := range bars {
		y := top + 20 + group*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", names-8, y+pitch*len(series)/2+4, html.EscapeString(g.Name))
		for k, v := range g.Values {
			if math.IsNaN(v) {
				continue
			}
			length := v / most * (width - names - values)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
				names, y+pitch*k, length, bar, colors[k%len(colors)], names+length+6, y+pitch*k+11, Grouped(v))
		}
	}
	return finish(&b, dir, file)
}
