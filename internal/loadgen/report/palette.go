package report

import (
	"fmt"
	"strings"
)

// palette is the page's colours for one scheme, by the names of their CSS
// variables. The text has a contrast of at least 4.5 to both backgrounds, the
// lines of at least 3 (WCAG 2.2, 1.4.3 and 1.4.11).
type palette map[string]string

var light = palette{
	"page":    "#ffffff",
	"panel":   "#f6f8fa",
	"text":    "#1f2328",
	"muted":   "#59636e",
	"grid":    "#d1d9e0",
	"good":    "#1a7f37",
	"bad":     "#cf222e",
	"caution": "#9a6700",
	"line0":   "#0969da",
	"line1":   "#bc4c00",
	"line2":   "#8250df",
	"line3":   "#1a7f37",
}

var dark = palette{
	"page":    "#0d1117",
	"panel":   "#151b23",
	"text":    "#e6edf3",
	"muted":   "#9198a1",
	"grid":    "#3d444d",
	"good":    "#3fb950",
	"bad":     "#f85149",
	"caution": "#d29922",
	"line0":   "#4493f8",
	"line1":   "#f0883e",
	"line2":   "#ab7df8",
	"line3":   "#3fb950",
}

// lineColours is how many lines of a chart can be told apart.
const lineColours = 4

// css declares the variables.
func (p palette) css() string {
	var b strings.Builder
	for _, name := range []string{"page", "panel", "text", "muted", "grid", "good", "bad", "caution", "line0", "line1", "line2", "line3"} {
		fmt.Fprintf(&b, "--%s:%s;", name, p[name])
	}
	return b.String()
}
