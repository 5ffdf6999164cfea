package growth

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"text/template"

	"github.com/pushgate/pushgate/bench/chart"
	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// The template has the page and a section for each part, which is named after
// it. Figures go by the names of the results, and those of derived.
//
//go:embed page.tmpl
var pageText string

// contents are the page's. The sections come first, as they make the claims of
// its summary.
type contents struct {
	dir      string // of the results and charts
	docs     string
	Results  []*result
	Claims   []claim
	Sections string
}

// writePage writes GROWTH.md and the charts from the results that are kept.
func writePage(docs string) error {
	c := &contents{docs: docs, dir: filepath.Join(docs, "growth")}
	t, err := page.Template(pageText, c.functions())
	if err != nil {
		return err
	}
	for _, x := range parts {
		r, err := kept(c.dir, x.name)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		c.Results = append(c.Results, r)
		section, err := page.Fill(t.Lookup(x.name), r)
		if err != nil {
			return err
		}
		c.Sections += section
	}
	if len(c.Results) == 0 {
		return fmt.Errorf("no result in %s", c.dir)
	}
	text, err := page.Fill(t, c)
	if err != nil {
		return err
	}
	return chart.WritePage(filepath.Join(docs, "GROWTH.md"), []byte(page.Wrap(text)))
}

// functions are the template's own.
func (c *contents) functions() template.FuncMap {
	return template.FuncMap{
		"gib":         func(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<30)) },
		"percent":     func(share float64) string { return fmt.Sprintf("%.0f", 100*share) },
		"sub":         func(a, b int) int { return a - b },
		"list":        func(all ...any) []any { return all },
		"plainSize":   func() int { return plainSize },
		"flatPercent": func() float64 { return (flatWithin - 1) * 100 },
		"flat":        func(a, b float64) bool { return flat(a, b) },
		"marginal":    marginal,
		"middle":      middle,
		"mids":        mids,
		"same":        same,
		"sides":       newSides,
		"line":        lineOf,
		"windows":     windows,
		"claim":       c.claim,
		"draw":        c.draw,
		"further":     c.further,
		"last": func(list any) any {
			switch list := list.(type) {
			case []int:
				return list[len(list)-1]
			case []*step:
				return list[len(list)-1]
			}
			panic("a list of neither numbers nor steps")
		},
		"before": func(steps []*step, i int) *step {
			if i == 0 {
				return nil
			}
			return steps[i-1]
		},
	}
}

// Newest is the result whose date and machine stand for all.
func (c *contents) Newest() *result {
	return slices.MaxFunc(c.Results, func(a, b *result) int { return cmp.Compare(a.Date, b.Date) })
}

// Others is the largest share of the box that other programs took.
func (c *contents) Others() (share float64) {
	for _, r := range c.Results {
		for _, s := range r.Steps {
			for _, v := range s.Of(figureOthers) {
				share = max(share, v)
			}
		}
	}
	return share
}

// claim is one line of the summary.
type claim struct {
	Cost, Over string
	costs      []float64 // at its steps
	unit       string    // a format for one of them
	Where      string    // a link to the section
}

// claim adds a line to the summary; a cost is a number or several.
func (c *contents) claim(cost, over, unit, where string, costs ...any) string {
	x := claim{Cost: cost, Over: over, unit: unit, Where: where}
	for _, v := range costs {
		switch v := v.(type) {
		case float64:
			x.costs = append(x.costs, v)
		case []float64:
			x.costs = append(x.costs, v...)
		}
	}
	c.Claims = append(c.Claims, x)
	return ""
}

func (x claim) First() string { return fmt.Sprintf(x.unit, x.costs[0]) }
func (x claim) Last() string  { return fmt.Sprintf(x.unit, x.costs[len(x.costs)-1]) }
func (x claim) Flat() bool    { return flat(x.costs...) }

func (x claim) Ratio() string {
	if v := ratio(x.costs...); v <= 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return "over 100"
}

// draw writes a chart and returns its place in the page.
func (c *contents) draw(file, title, x, y, logs string, lines ...chart.Line) (string, error) {
	link, err := page.Draw(c.dir, file, title, x, y, logs, lines...)
	return fmt.Sprintf("![%s](%s)", title, link), err
}

// lineOf draws a figure of some steps: the median of each, with a bar from the
// least to the most.
func lineOf(name string, steps []*step, f figure) chart.Line {
	l := chart.Line{Name: name}
	for _, s := range steps {
		v := s.Of(f)
		l.Xs, l.Ys = append(l.Xs, s.At), append(l.Ys, v.Mid())
		l.Low, l.High = append(l.Low, slices.Min(v)), append(l.High, slices.Max(v))
	}
	return l
}

// windows draws each value of a figure.
func windows(name string, s *step, f figure) chart.Line {
	l := chart.Line{Name: name}
	for i, v := range s.Of(f) {
		l.Xs, l.Ys = append(l.Xs, float64(i+1)), append(l.Ys, v)
	}
	return l
}

// sides are by how much a delivery's cost grows on either side of the system
// call.
type sides struct {
	From, To    *step
	Kernel, Own float64 // us
}

// newSides returns nil where the cost is flat over the steps.
func newSides(steps []*step, from, to *step) *sides {
	if flat(mids(steps, figureCPU)...) {
		return nil
	}
	grown := func(f figure) float64 { return to.Of(f).Mid() - from.Of(f).Mid() }
	return &sides{from, to, grown("kernel_us"), grown("own_us")}
}

// Sum is both sides' growth.
func (s *sides) Sum() float64 { return s.Kernel + s.Own }

// same returns the last step up to which all cost the same, nil where not even
// two do.
func same(steps []*step) *step {
	n := 1
	for n < len(steps) && flat(mids(steps[:n+1], figureCPU)...) {
		n++
	}
	if n == 1 {
		return nil
	}
	return steps[n-1]
}

// Subscribed is how many subscriptions step i of the channels has.
func (r *result) Subscribed(i int) float64 {
	switch clients := float64(r.Scale.Clients); {
	case i < len(r.Scale.Channels):
		return clients
	case i == len(r.Steps)-1:
		return clients * r.Steps[i].At
	}
	return r.Steps[i].At
}

// OfSubscription is the live heap of a subscription, by two steps with few
// channels.
func (r *result) OfSubscription(one, few *step) rig.Values {
	return few.Of(figureLive).Minus(one.Of(figureLive)).Times(1 / (float64(r.Scale.Clients) * (few.At - 1)))
}

// Subscribing is the time that a further channel takes, in us, by two steps with
// as many subscriptions.
func (r *result) Subscribing(few, most *step) rig.Values {
	return most.Of(figureConnect).Minus(few.Of(figureConnect)).Times(1e6 / most.At)
}

// Further is the cost of one more subscription of one client.
func (r *result) Further(from, to *step, f figure) rig.Values {
	return marginal(from, to, f).Times(1 / float64(r.Scale.Subscribers))
}

// SubscriptionsAt is how many all clients have in a step.
func (r *result) SubscriptionsAt(s *step) float64 { return float64(r.Scale.Subscribers) * s.At }

// further are the emulated runs of the million clients with a channel for all,
// of each number of clients the newest.
func (c *contents) further() ([]*step, error) {
	type grown struct {
		RSS  float64 `json:"rss"`
		Live float64 `json:"heap_live"`
	}
	type run struct {
		Date     string  `json:"date"`
		Clients  float64 `json:"clients"`
		Emulated bool    `json:"emulated"`
		Personal bool    `json:"personal"` // with a channel for each client, which costs more
		Before   grown   `json:"before"`
		Held     grown   `json:"held"`
	}
	runs, err := page.Kept[run](filepath.Join(c.docs, "million"), "*")
	newest := make(map[float64]*run)
	for _, x := range runs {
		if old := newest[x.Clients]; x.Emulated && !x.Personal && (old == nil || x.Date >= old.Date) {
			newest[x.Clients] = x
		}
	}
	var steps []*step
	for n, x := range newest {
		steps = append(steps, &step{Name: chart.Grouped(n), At: n, Figures: map[figure]rig.Values{
			figureRSS: {x.Held.RSS - x.Before.RSS}, figureLive: {x.Held.Live - x.Before.Live},
		}})
	}
	slices.SortFunc(steps, func(a, b *step) int { return cmp.Compare(a.At, b.At) })
	return steps, err
}

// flatWithin is the largest ratio of two costs that still are the same.
const flatWithin = 1.1

func flat(costs ...float64) bool { return ratio(costs...) <= flatWithin }

// ratio is the largest over the smallest, infinite where one costs nothing.
func ratio(costs ...float64) float64 {
	low := slices.Min(costs)
	if low <= 0 {
		return math.Inf(1)
	}
	return slices.Max(costs) / low
}

// marginal is the cost of one more on the way from a step to another.
func marginal(from, to *step, f figure) rig.Values {
	return to.Of(f).Minus(from.Of(f)).Times(1 / (to.At - from.At))
}

// middle is the step that is furthest from both ends, as ratios go.
func middle(steps []*step) *step {
	want := math.Sqrt(steps[0].At * steps[len(steps)-1].At)
	return slices.MinFunc(steps, func(a, b *step) int {
		return cmp.Compare(math.Abs(math.Log(a.At/want)), math.Abs(math.Log(b.At/want)))
	})
}

// mids are the medians of a figure.
func mids(steps []*step, f figure) (all []float64) {
	for _, s := range steps {
		all = append(all, s.Of(f).Mid())
	}
	return all
}
