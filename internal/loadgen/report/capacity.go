package report

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/capacity"
)

//go:embed capacity.html
var capacityText string

var capacityTemplate = template.Must(template.New("capacity").Parse(capacityText))

// CapacityDir is the directory of an outcome: run.json and report.html.
type CapacityDir struct{ place }

// CreateCapacity begins a directory; its error is a *loadgen.UsageError.
func CreateCapacity(path string) (*CapacityDir, error) {
	p, err := reserve(path)
	if err != nil {
		return nil, err
	}
	return &CapacityDir{p}, nil
}

// Finish writes the outcome and gives the directory its name.
func (d *CapacityDir) Finish(o *capacity.Outcome) error {
	if err := writeWhole(d.file(resultFile), o.WriteJSON); err != nil {
		return err
	}
	if err := WriteCapacityPage(d.partial, o); err != nil {
		return err
	}
	return d.take()
}

// Abandon removes what was written; after Finish it does nothing.
func (d *CapacityDir) Abandon() { d.remove() }

// WriteCapacityPage renders an outcome's page into a directory.
func WriteCapacityPage(dir string, o *capacity.Outcome) error {
	return writeWhole(filepath.Join(dir, Page), func(w io.Writer) error { return RenderCapacity(w, o) })
}

// LoadCapacity reads the directory of an outcome; false where it is one of a
// run.
func LoadCapacity(dir string) (o *capacity.Outcome, isOne bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err != nil {
		return nil, false, nil // Load says what is wrong
	}
	o = new(capacity.Outcome)
	var schema struct{ Schema string }
	if json.Unmarshal(text, &schema) != nil || schema.Schema != capacity.Schema {
		return nil, false, nil
	}
	if err := json.Unmarshal(text, o); err != nil {
		return nil, true, fmt.Errorf("%s: %w", filepath.Join(dir, resultFile), err)
	}
	return o, true, nil
}

// capacityPage is what the template shows.
type capacityPage struct {
	Style   template.CSS
	Badge   string
	Class   string
	Lines   []string
	Command string
	Charts  []*chart
	*capacity.Outcome
}

// RenderCapacity writes an outcome as one page that needs nothing else.
func RenderCapacity(w io.Writer, o *capacity.Outcome) error {
	began := o.Started
	if t, err := time.Parse(time.RFC3339Nano, o.Started); err == nil {
		began = t.Format("2006-01-02 15:04:05 MST")
	}
	p := &capacityPage{
		Style: style(), Badge: o.Word(), Class: "bad", Command: commandLine(o.Command), Charts: fitCharts(o), Outcome: o,
		Lines: []string{
			fmt.Sprintf("%s, over %s", o.Server, o.Transport),
			fmt.Sprintf("%s, %.0f s; Linux %s, %d CPUs, %s memory", began, o.Seconds, o.Host.Kernel, o.Host.CPUs,
				loadgen.FormatFigure(loadgen.UnitBytes, float64(o.Host.Memory))),
		},
	}
	switch {
	case o.Interrupted:
		p.Class = "caution"
	case o.Good():
		p.Class = "good"
	}
	if err := capacityTemplate.Execute(w, p); err != nil {
		return errors.Join(errors.New("render the report"), err)
	}
	return nil
}

// fitCharts draws the points with their lines, and what was measured further
// out.
func fitCharts(o *capacity.Outcome) []*chart {
	var all []*chart
	for _, f := range []struct {
		title, x, y string
		unit        loadgen.Unit
		fit         *capacity.Fit
	}{
		{"Memory of the gateway", "connections", "resident memory", loadgen.UnitBytes, o.Fits.RSS},
		{"Memory of the kernel, both ends", "connections", "grown by", loadgen.UnitBytes, o.Fits.Kernel},
		{"CPU for heartbeats", "heartbeat cycles per second", "CPUs in use", loadgen.UnitCPUs, o.Fits.Heartbeat},
		{"CPU for deliveries", "deliveries per second", "CPUs in use", loadgen.UnitCPUs, o.Fits.Delivery},
	} {
		if f.fit == nil {
			continue
		}
		c := fitChart(f.title, f.x, f.y, f.unit, f.fit)
		if v := o.Verified; v != nil && f.fit == o.Fits.RSS {
			c.lines = append(c.lines, line{name: "checked further out", points: []point{{float64(v.Connections), v.Measured}}, dots: true})
			c.stretch(float64(v.Connections), f.fit)
		}
		all = append(all, c)
	}
	return all
}

func fitChart(title, x, y string, unit loadgen.Unit, f *capacity.Fit) *chart {
	c := &chart{Title: title, About: fmt.Sprintf("R2 %.4f, %d points", f.R2, len(f.Points)), XLabel: x, YLabel: y, unit: unit}
	measured := line{name: "measured", dots: true}
	for _, p := range f.Points {
		measured.points = append(measured.points, point{p.X, p.Y})
		c.hits = append(c.hits, hit{p.X, fmt.Sprintf("%.0f %s: %s", p.X, x, loadgen.FormatFigure(unit, p.Y))})
	}
	// A bisection measures in another order.
	slices.SortFunc(c.hits, func(a, b hit) int { return int(a.x - b.x) })
	c.lines = []line{measured, {name: "fitted"}}
	most := 0.0
	for _, p := range f.Points {
		most = max(most, p.X)
	}
	c.stretch(most, f)
	c.xText = func(v float64) string { return tickText(loadgen.UnitCount, v, c.x) }
	return c
}

// stretch draws the axis and the fitted line from 0 to x.
func (c *chart) stretch(x float64, f *capacity.Fit) {
	c.x = linear(x, 1, false, 6)
	from, to := 0.0, c.x.high
	// There is nothing below the axis.
	switch {
	case f.At(from) < 0 && f.Slope > 0:
		from = -f.Base / f.Slope
	case f.At(to) < 0 && f.Slope < 0:
		to = -f.Base / f.Slope
	}
	c.lines[1].points = []point{{from, max(f.At(from), 0)}, {to, max(f.At(to), 0)}}
}

// StepRows are the steps for the template.
func (p *capacityPage) ConnectionRows() [][]string {
	var all [][]string
	for _, s := range p.Connections {
		kernel := "-"
		if s.Kernel != nil {
			kernel = loadgen.FormatFigure(loadgen.UnitBytes, *s.Kernel)
		}
		all = append(all, []string{fmt.Sprint(s.Connections), loadgen.FormatFigure(loadgen.UnitBytes, s.RSS), kernel,
			fmt.Sprintf("%.1f %%", s.IdleCPUs*100), fmt.Sprintf("%.0f", s.Pings), fmt.Sprintf("%.1f us", s.Handshake), verdictText(s)})
	}
	return all
}

// DeliveryRows are the steps of deliveries for the template.
func (p *capacityPage) DeliveryRows() [][]string {
	var all [][]string
	text := func(ns int64) string { return loadgen.FormatFigure(loadgen.UnitDuration, float64(ns)) }
	for _, s := range p.Deliveries {
		all = append(all, []string{fmt.Sprintf("%.0f", s.Rate), fmt.Sprintf("%.0f", s.Delivered), text(s.Latency.P50), text(s.Latency.P99),
			text(s.Latency.Max), fmt.Sprintf("%.0f %%", s.CPUs*100), verdictText(s)})
	}
	return all
}

func verdictText(s capacity.Step) string {
	if why := s.Why(); why != "" {
		return why
	}
	return "good"
}

// Breaks says where the load became too much.
func (p *capacityPage) Breaks() []string {
	var all []string
	for _, x := range []struct {
		what string
		b    *capacity.Break
	}{{"connections", p.ConnectionsBreak}, {"messages a second", p.DeliveriesBreak}} {
		if x.b != nil {
			all = append(all, x.b.Text(x.what))
		}
	}
	return all
}
