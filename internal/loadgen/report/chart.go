package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/capacity"
)

// The page brings all that draws it: uPlot (MIT, with its licence) and the few
// lines that hand it the data.
//
//go:embed uplot/uplot.iife.min.js
var uplotScript string

//go:embed uplot/uplot.min.css
var uplotStyle string

//go:embed uplot/LICENSE
var uplotLicence string

//go:embed page.js
var pageScript string

func script() template.JS {
	return template.JS("/*\nuPlot\n" + uplotLicence + "*/\n" + uplotScript + "\n" + pageScript)
}

// chart is one diagram, as page.js reads it.
type chart struct {
	Title  string       `json:"title"`
	About  string       `json:"about"`
	XLabel string       `json:"xLabel"`
	YLabel string       `json:"yLabel"`
	Unit   loadgen.Unit `json:"unit"`
	Log    bool         `json:"log"`   // the y axis
	Nines  bool         `json:"nines"` // x is 0 for 0 %, 1 for 90 %, 2 for 99 % and so on
	Time   bool         `json:"time"`  // x is in seconds; the cursor is the same in all of these
	X      []number     `json:"x"`
	Lines  []line       `json:"lines"`
	Bands  []band       `json:"bands"`
}

// line is one curve: a value for each x, NaN where there is none, or none to
// the end.
type line struct {
	Name   string   `json:"name"`
	Dots   bool     `json:"dots"` // the points alone: measurements that are few
	Values []number `json:"values"`
}

// band names a part of the x axis, which begins where the one before ends.
type band struct {
	Name string `json:"name"`
	To   number `json:"to"`
}

// number is written with six digits, NaN as null.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return strconv.AppendFloat(nil, v, 'g', 6, 64), nil
	}
	return []byte("null"), nil
}

// shown reports that there is something to see: a scenario without messages
// leaves their lines at zero.
func (c chart) shown() bool {
	return slices.ContainsFunc(c.Lines, func(l line) bool {
		return slices.ContainsFunc(l.Values, func(v number) bool { return v > 0 })
	})
}

// mostPoints is how many points a line over time has at most; longer series
// are put together, latencies to the worst of some seconds, all else to the mean.
const mostPoints = 240

// curve is one value of the samples over time.
type curve struct {
	name string
	of   measure
}

// overTime draws curves over the run's seconds.
func overTime(series []loadgen.Sample, c chart, curves ...curve) chart {
	c.XLabel, c.Time, c.Bands = "time since the start (s)", true, phases(series)
	for _, x := range curves {
		c.Lines = append(c.Lines, line{Name: x.name})
	}
	for group := range slices.Chunk(series, max((len(series)+mostPoints-1)/mostPoints, 1)) {
		c.X = append(c.X, number(group[len(group)-1].Seconds))
		for i, x := range curves {
			point := math.NaN()
			if values := x.of.in(group, nil); len(values) > 0 {
				point = mean(values)
				if c.Log {
					point = slices.Max(values)
				}
			}
			c.Lines[i].Values = append(c.Lines[i].Values, number(point))
		}
	}
	// A line without a value would be a name that nothing belongs to.
	c.Lines = slices.DeleteFunc(c.Lines, func(l line) bool {
		return !slices.ContainsFunc(l.Values, func(v number) bool { return !math.IsNaN(float64(v)) })
	})
	return c
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// phases returns the run's parts as bands.
func phases(series []loadgen.Sample) []band {
	var all []band
	for i, s := range series {
		if i == len(series)-1 || series[i+1].Phase != s.Phase {
			all = append(all, band{string(s.Phase), number(s.Seconds)})
		}
	}
	return all
}

// byPercentile draws the latencies the way HdrHistogram does: the further to
// the right, the rarer.
func byPercentile(all Latencies) chart {
	c := chart{
		Title:  "Latency by percentile",
		About:  "Read it as: so many percent of all values were not slower than this. A flat line to the far right is what to hope for.",
		YLabel: "latency (logarithmic)", XLabel: "percentile (each tick ten times rarer)",
		Unit: loadgen.UnitDuration, Log: true, Nines: true,
	}
	const steps, most = 30, 5 // points for each nine, and nines
	for _, name := range []struct{ key, shown string }{
		{loadgen.LatencyDelivery, "delivery, from intended time"},
		{loadgen.LatencySent, "delivery, from real send time"},
		{loadgen.LatencyReady, "client ready"},
		{loadgen.LatencyHandshake, "handshake"},
	} {
		h := all[name.key]
		if h == nil || h.TotalCount() == 0 {
			continue
		}
		l := line{Name: name.shown}
		// No further than the values go.
		for i := range int(min(math.Log10(float64(h.TotalCount())), most)*steps) + 1 {
			x := float64(i) / steps
			l.Values = append(l.Values, number(max(h.ValueAtPercentile((1-math.Pow(10, -x))*100), 1)))
			if i == len(c.X) {
				c.X = append(c.X, number(x))
			}
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

// runCharts returns the charts of a run that have something to show.
func runCharts(run *Run) []chart {
	series := run.Result.Series
	failed := func(s *loadgen.Sample) (float64, bool) { return float64(s.Failed + s.Lost), true }
	all := []chart{
		overTime(series, chart{Title: "Connections", YLabel: "clients", Unit: loadgen.UnitCount},
			curve{"open", columnOf("open")},
			curve{"failed or lost", failed}),
		overTime(series, chart{Title: "Connects", YLabel: "clients per second", Unit: loadgen.UnitRate},
			curve{"ready", columnOf("ready_per_second")}),
		overTime(series, chart{Title: "Deliveries", YLabel: "messages per second", Unit: loadgen.UnitRate},
			curve{"delivered", columnOf("delivered_per_second")}),
		overTime(series, chart{Title: "Delivery latency", About: "From the intended send time, of the deliveries of each second.",
			YLabel: "latency (logarithmic)", Unit: loadgen.UnitDuration, Log: true},
			curve{"p50", columnOf("latency_p50_ns")},
			curve{"p99", columnOf("latency_p99_ns")},
			curve{"max", columnOf("latency_max_ns")}),
		byPercentile(run.Latencies),
		overTime(series, chart{Title: "Server memory", YLabel: "resident memory", Unit: loadgen.UnitBytes},
			curve{"all", columnOf("server_rss_bytes")},
			curve{"anonymous", columnOf("server_anon_bytes")},
			curve{"Go heap in use", columnOf("server_heap_in_use_bytes")}),
		overTime(series, chart{Title: "Kernel memory", About: "Of the whole host; over loopback, both ends of each connection.",
			YLabel: "memory", Unit: loadgen.UnitBytes},
			curve{"slabs", columnOf("kernel_slab_bytes")},
			curve{"TCP buffers", columnOf("kernel_tcp_memory_bytes")}),
		overTime(series, chart{Title: "CPU", YLabel: "CPUs in use", Unit: loadgen.UnitCPUs},
			curve{"server", columnOf("server_cpus")},
			curve{"loadgen", columnOf("self_cpus")},
			curve{"all programs", columnOf("host_cpu_share").positive().times(float64(run.Result.Host.CPUs))}),
	}
	return slices.DeleteFunc(all, func(c chart) bool { return !c.shown() })
}

// fitCharts draws the points of a climb with their lines, and the one that was
// measured further out.
func fitCharts(o *capacity.Outcome) []chart {
	var all []chart
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
		c := chart{Title: f.title, About: fmt.Sprintf("R2 %.4f, %d points", f.fit.R2, len(f.fit.Points)), XLabel: f.x, YLabel: f.y, Unit: f.unit}
		var further []capacity.Point
		if v := o.Verified; v != nil && f.fit == o.Fits.RSS {
			further = append(further, capacity.Point{X: float64(v.Connections), Y: v.Measured})
		}
		c.X = append(c.X, 0)
		for _, p := range slices.Concat(f.fit.Points, further) {
			c.X = append(c.X, number(p.X))
		}
		slices.Sort(c.X) // a bisection measures in another order
		c.X = slices.Compact(c.X)
		fitted := line{Name: "fitted"}
		for _, x := range c.X {
			y := f.fit.At(float64(x))
			if y < 0 {
				y = math.NaN() // there is nothing below the axis
			}
			fitted.Values = append(fitted.Values, number(y))
		}
		c.Lines = []line{c.dots("measured", f.fit.Points), fitted}
		if further != nil {
			c.Lines = append(c.Lines, c.dots("checked further out", further))
		}
		all = append(all, c)
	}
	return all
}

// dots returns the points alone; each x is one of the chart's.
func (c chart) dots(name string, points []capacity.Point) line {
	l := line{Name: name, Dots: true, Values: slices.Repeat([]number{number(math.NaN())}, len(c.X))}
	for _, p := range points {
		l.Values[slices.Index(c.X, number(p.X))] = number(p.Y)
	}
	return l
}
