package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// point is one value of a line.
type point struct{ x, y float64 }

// line is one curve of a chart.
type line struct {
	name   string
	points []point
	dots   bool // draw the points alone: measurements that are few
}

// band shades a part of the x axis and names it.
type band struct {
	name     string
	from, to float64
}

// chart is one diagram. It is drawn twice, for wide and for narrow screens, so
// that its text is as large as the page's on both.
type chart struct {
	Title string
	About string // a sentence under the title
	// YLabel and XLabel name the axes with their units.
	YLabel, XLabel string

	unit  loadgen.Unit
	log   bool // the y axis
	lines []line
	bands []band
	x     scale
	xText func(float64) string
	// hits are x values with what to say when the pointer rests there.
	hits []hit
}

type hit struct {
	x    float64
	text string
}

// frame is the drawing's size and its plot within.
type frame struct {
	width, height      float64
	right, top, bottom float64
	left               float64 // follows from the texts of the y axis
}

var (
	wideFrame   = frame{width: 560, height: 260, right: 12, top: 22, bottom: 40}
	narrowFrame = frame{width: 340, height: 240, right: 10, top: 22, bottom: 40}
)

// empty reports that there is nothing to draw.
func (c *chart) empty() bool {
	for _, l := range c.lines {
		if len(l.points) > 0 {
			return false
		}
	}
	return true
}

// legendEntry is one line of the legend.
type legendEntry struct {
	Name string
	Dots bool
}

// Legend lists the lines in the order of their colours.
func (c *chart) Legend() []legendEntry {
	var all []legendEntry
	for _, l := range c.lines {
		all = append(all, legendEntry{l.name, l.dots})
	}
	return all
}

// spoken is the drawing for those who can't see it.
func (c *chart) spoken() string {
	var names []string
	for _, l := range c.lines {
		names = append(names, l.name)
	}
	return c.Title + ": " + strings.Join(names, ", ")
}

// Wide is the drawing for desktop screens, Narrow the one for phones.
func (c *chart) Wide() template.HTML   { return c.draw(wideFrame, "wide", 8, 5) }
func (c *chart) Narrow() template.HTML { return c.draw(narrowFrame, "narrow", 5, 5) }

// margin is the room for the y axis: its label on its side, and its ticks.
func (c *chart) margin(y scale) float64 {
	longest := 0
	for _, v := range y.ticks {
		longest = max(longest, len(tickText(c.unit, v, y)))
	}
	return 26 + 7*float64(longest)
}

// dashes tell lines apart without their colours.
var dashes = [lineColours]string{"", "7 3", "2 3", "9 3 2 3"}

func (c *chart) draw(f frame, class string, xTicks, yTicks int) template.HTML {
	var b strings.Builder
	y := c.yScale(yTicks)
	f.left = c.margin(y)
	plotWidth, plotHeight := f.width-f.left-f.right, f.height-f.top-f.bottom
	px := func(v float64) float64 { return f.left + c.x.at(v)*plotWidth }
	py := func(v float64) float64 { return f.top + (1-y.at(v))*plotHeight }

	fmt.Fprintf(&b, `<svg class="%s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, class, f.width, f.height,
		html.EscapeString(c.spoken()))
	for i, band := range c.bands {
		from, to := px(band.from), px(band.to)
		if i%2 == 1 {
			fmt.Fprintf(&b, `<rect class="band" x="%.1f" y="%g" width="%.1f" height="%g"/>`, from, f.top, max(to-from, 0), plotHeight)
		}
		// A name that has no room would lie over the next.
		if to-from > float64(len(band.name))*6.5+6 {
			fmt.Fprintf(&b, `<text class="phase" x="%.1f" y="%g">%s</text>`, (from+to)/2, f.top-8, html.EscapeString(band.name))
		}
	}
	for _, v := range y.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, f.left, f.width-f.right, py(v), py(v))
		fmt.Fprintf(&b, `<text class="y" x="%g" y="%.1f">%s</text>`, f.left-6, py(v)+4, html.EscapeString(tickText(c.unit, v, y)))
	}
	for _, v := range thin(c.x.ticks, xTicks) {
		fmt.Fprintf(&b, `<line class="tick" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, px(v), px(v), f.height-f.bottom, f.height-f.bottom+4)
		text := c.xText(v)
		// Half of it would stand out at the right.
		middle := min(px(v), f.width-float64(len(text))*3.8)
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%s</text>`, middle, f.height-f.bottom+17, html.EscapeString(text))
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, f.left, f.width-f.right, f.height-f.bottom, f.height-f.bottom)
	fmt.Fprintf(&b, `<text class="x label" x="%.1f" y="%g">%s</text>`, f.left+plotWidth/2, f.height-6, html.EscapeString(c.XLabel))
	fmt.Fprintf(&b, `<text class="label ylabel" transform="translate(11 %.1f) rotate(-90)">%s</text>`, f.top+plotHeight/2, html.EscapeString(c.YLabel))
	for i, l := range c.lines {
		c.drawLine(&b, i%lineColours, l, px, py)
	}
	if class == "wide" {
		c.drawHits(&b, f, px)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

func (c *chart) drawLine(b *strings.Builder, colour int, l line, px, py func(float64) float64) {
	var path strings.Builder
	pen := "M"
	for _, p := range l.points {
		if math.IsNaN(p.y) {
			pen = "M" // a gap
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, px(p.x), py(p.y))
		pen = "L"
	}
	if !l.dots {
		fmt.Fprintf(b, `<path class="line l%d" stroke-dasharray="%s" d="%s"/>`, colour, dashes[colour], path.String())
	}
	// A value between two gaps makes no line.
	for i, p := range l.points {
		alone := (i == 0 || math.IsNaN(l.points[i-1].y)) && (i == len(l.points)-1 || math.IsNaN(l.points[i+1].y))
		if !math.IsNaN(p.y) && (alone || l.dots) {
			fmt.Fprintf(b, `<circle class="dot l%d" cx="%.1f" cy="%.1f" r="3"/>`, colour, px(p.x), py(p.y))
		}
	}
}

// drawHits lays invisible columns over the plot, which name the values at
// their x when the pointer rests on them.
func (c *chart) drawHits(b *strings.Builder, f frame, px func(float64) float64) {
	for i, h := range c.hits {
		from, to := f.left, f.width-f.right
		if i > 0 {
			from = (px(c.hits[i-1].x) + px(h.x)) / 2
		}
		if i < len(c.hits)-1 {
			to = (px(h.x) + px(c.hits[i+1].x)) / 2
		}
		fmt.Fprintf(b, `<rect class="hit" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`,
			from, f.top, max(to-from, 0), f.height-f.top-f.bottom, html.EscapeString(h.text))
	}
}

func (c *chart) yScale(ticks int) scale {
	low, high := math.Inf(1), 0.0
	for _, l := range c.lines {
		for _, p := range l.points {
			if !math.IsNaN(p.y) {
				low, high = min(low, p.y), max(high, p.y)
			}
		}
	}
	return valueScale(c.unit, c.log, low, high, ticks)
}

// thin leaves out ticks until there is room for them.
func thin(ticks []float64, most int) []float64 {
	for every := 1; ; every++ {
		if (len(ticks)+every-1)/every <= most+1 {
			var some []float64
			for i := 0; i < len(ticks); i += every {
				some = append(some, ticks[i])
			}
			return some
		}
	}
}

// tickText writes a value of an axis, short.
func tickText(unit loadgen.Unit, v float64, s scale) string {
	if v == 0 {
		return "0"
	}
	switch unit {
	case loadgen.UnitDuration:
		return durationTick(v)
	case loadgen.UnitBytes:
		return bytesTick(v)
	case loadgen.UnitCPUs, loadgen.UnitPercent:
		return trimZeros(fmt.Sprintf("%.3f", v))
	}
	switch {
	case s.high >= 2e6:
		return trimZeros(fmt.Sprintf("%.2f", v/1e6)) + "M"
	case s.high >= 20e3:
		return trimZeros(fmt.Sprintf("%.2f", v/1e3)) + "k"
	}
	return trimZeros(fmt.Sprintf("%.1f", v))
}

func trimZeros(s string) string {
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func durationTick(ns float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}} {
		if ns >= u.size {
			return fmt.Sprintf("%.4g %s", ns/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.4g ns", ns)
}

func bytesTick(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if v >= u.size {
			return fmt.Sprintf("%.4g %s", v/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.4g B", v)
}
