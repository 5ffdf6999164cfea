package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// mostPoints is how many points a line over time has at most; longer series
// are put together.
const mostPoints = 240

// merge says how several seconds become one point.
type merge int

const (
	mergeLast merge = iota // of what is a state
	mergeMean              // of a rate
	mergeMax               // of a latency: the worst is what counts
)

// curve is one value of the samples over time.
type curve struct {
	name  string
	merge merge
	of    func(*loadgen.Sample) (float64, bool)
}

// value makes a curve of a figure that every sample has.
func value(name string, m merge, of func(*loadgen.Sample) float64) curve {
	return curve{name, m, func(s *loadgen.Sample) (float64, bool) { return of(s), true }}
}

func latencyCurve(name string, of func(loadgen.Latency) int64) curve {
	return curve{name, mergeMax, func(s *loadgen.Sample) (float64, bool) { return float64(of(s.Due)), s.Due.Count > 0 }}
}

func serverCurve(name string, m merge, of func(*loadgen.Sample) float64) curve {
	return curve{name, m, func(s *loadgen.Sample) (float64, bool) {
		if s.Server == nil {
			return 0, false
		}
		return of(s), true
	}}
}

func kernelCurve(name string, of func(*loadgen.KernelSample) float64) curve {
	return curve{name, mergeLast, func(s *loadgen.Sample) (float64, bool) {
		if s.Kernel == nil {
			return 0, false
		}
		return of(s.Kernel), true
	}}
}

// points puts n seconds together to one point each; NaN where there is none.
func (c curve) points(series []loadgen.Sample, n int) []point {
	var all []point
	some := false
	for group := range slices.Chunk(series, n) {
		p := point{group[len(group)-1].Seconds, math.NaN()}
		known, sum, most, last := 0, 0.0, math.Inf(-1), 0.0
		for i := range group {
			if v, ok := c.of(&group[i]); ok {
				known++
				sum += v
				most = max(most, v)
				last = v
			}
		}
		if known > 0 {
			some = true
			p.y = map[merge]float64{mergeLast: last, mergeMean: sum / float64(known), mergeMax: most}[c.merge]
		}
		all = append(all, p)
	}
	if !some {
		return nil
	}
	return all
}

// overTime draws curves over the run's seconds.
func overTime(title, about, yLabel string, unit loadgen.Unit, log bool, series []loadgen.Sample, curves ...curve) *chart {
	c := &chart{Title: title, About: about, YLabel: yLabel, XLabel: "time since the start (s)", unit: unit, log: log}
	if len(series) == 0 {
		return c
	}
	n := (len(series) + mostPoints - 1) / mostPoints
	for _, curve := range curves {
		if points := curve.points(series, n); points != nil {
			c.lines = append(c.lines, line{name: curve.name, points: points})
		}
	}
	c.x = linear(series[len(series)-1].Seconds, 1, false, 8)
	c.x.high = max(series[len(series)-1].Seconds, 1)
	c.x.ticks = slices.DeleteFunc(c.x.ticks, func(v float64) bool { return v > c.x.high })
	c.xText = func(v float64) string { return trimZeros(fmt.Sprintf("%.1f", v)) }
	c.bands = phases(series)
	c.hits = timeHits(c)
	return c
}

// phases returns the run's parts as bands.
func phases(series []loadgen.Sample) []band {
	var all []band
	from := 0.0
	for i, s := range series {
		if i == len(series)-1 || series[i+1].Phase != s.Phase {
			all = append(all, band{string(s.Phase), from, s.Seconds})
			from = s.Seconds
		}
	}
	return all
}

// mostHits bounds what the invisible columns add to the page.
const mostHits = 120

// timeHits says all lines' values at each point.
func timeHits(c *chart) []hit {
	if c.empty() {
		return nil
	}
	points := c.lines[0].points
	every := (len(points) + mostHits - 1) / mostHits
	var all []hit
	for i := 0; i < len(points); i += every {
		text := []string{fmt.Sprintf("%.0f s", points[i].x)}
		for _, l := range c.lines {
			if y := l.points[i].y; !math.IsNaN(y) {
				text = append(text, l.name+": "+loadgen.FormatFigure(c.unit, y))
			}
		}
		all = append(all, hit{points[i].x, strings.Join(text, "\n")})
	}
	return all
}

// byPercentile draws the latencies the way HdrHistogram does: the further to
// the right, the rarer.
func byPercentile(all Latencies) *chart {
	c := &chart{
		Title:  "Latency by percentile",
		About:  "Read it as: so many percent of all values were not slower than this. A flat line to the far right is what to hope for.",
		YLabel: "latency (logarithmic)", XLabel: "percentile (each tick ten times rarer)",
		unit: loadgen.UnitDuration, log: true,
	}
	nines := 1.0
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
		// No further than the values go.
		last := math.Log10(float64(h.TotalCount()))
		nines = max(nines, min(math.Ceil(last), 5))
		l := line{name: name.shown}
		const steps = 30 // for each nine
		for i := 0; i <= int(min(last, 5)*steps); i++ {
			x := float64(i) / steps
			l.points = append(l.points, point{x, float64(max(h.ValueAtPercentile((1-math.Pow(10, -x))*100), 1))})
		}
		c.lines = append(c.lines, l)
	}
	c.x = scale{high: nines}
	for i := range int(nines) + 1 {
		c.x.ticks = append(c.x.ticks, float64(i))
	}
	c.xText = func(v float64) string { return percentileText(v) }
	c.hits = percentileHits(c)
	return c
}

// percentileText writes 0, 1, 2, 3 as 0 %, 90 %, 99 %, 99.9 %.
func percentileText(nines float64) string {
	p := (1 - math.Pow(10, -nines)) * 100
	return trimZeros(fmt.Sprintf("%.*f", max(int(math.Ceil(nines))-2, 0)+2, p)+"0") + " %"
}

func percentileHits(c *chart) []hit {
	var all []hit
	for _, p := range []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 99.999} {
		x := -math.Log10(1 - p/100)
		if x > c.x.high {
			break
		}
		text := []string{fmt.Sprintf("%.6g %%", p)}
		for _, l := range c.lines {
			i := slices.IndexFunc(l.points, func(q point) bool { return q.x >= x-1e-9 })
			if i >= 0 {
				text = append(text, l.name+": "+loadgen.FormatFigure(c.unit, l.points[i].y))
			}
		}
		all = append(all, hit{x, strings.Join(text, "\n")})
	}
	return all
}

// charts returns those of the page that have something to show.
func charts(run *Run) []*chart {
	series := run.Result.Series
	all := []*chart{
		overTime("Connections", "", "clients", loadgen.UnitCount, false, series,
			value("open", mergeLast, func(s *loadgen.Sample) float64 { return float64(s.Open) }),
			value("failed or lost", mergeLast, func(s *loadgen.Sample) float64 { return float64(s.Failed + s.Lost) })),
		overTime("Connects", "", "clients per second", loadgen.UnitRate, false, series,
			value("ready", mergeMean, func(s *loadgen.Sample) float64 { return s.ReadyPS })),
		overTime("Deliveries", "", "messages per second", loadgen.UnitRate, false, series,
			value("delivered", mergeMean, func(s *loadgen.Sample) float64 { return s.DeliveredPS })),
		overTime("Delivery latency", "From the intended send time, of the deliveries of each second.", "latency (logarithmic)", loadgen.UnitDuration, true, series,
			latencyCurve("p50", func(l loadgen.Latency) int64 { return l.P50 }),
			latencyCurve("p99", func(l loadgen.Latency) int64 { return l.P99 }),
			latencyCurve("max", func(l loadgen.Latency) int64 { return l.Max })),
		byPercentile(run.Latencies),
		overTime("Server memory", "", "resident memory", loadgen.UnitBytes, false, series,
			serverCurve("all", mergeLast, func(s *loadgen.Sample) float64 { return float64(s.Server.RSS) }),
			serverCurve("anonymous", mergeLast, func(s *loadgen.Sample) float64 { return float64(s.Server.Anon) }),
			curve{"Go heap in use", mergeLast, func(s *loadgen.Sample) (float64, bool) {
				if s.Metrics == nil {
					return 0, false
				}
				return float64(s.Metrics.HeapInUse), true
			}}),
		overTime("Kernel memory", "Of the whole host; over loopback, both ends of each connection.", "memory", loadgen.UnitBytes, false, series,
			kernelCurve("slabs", func(k *loadgen.KernelSample) float64 { return float64(k.Slab) }),
			kernelCurve("TCP buffers", func(k *loadgen.KernelSample) float64 { return float64(k.TCPMemory) })),
		overTime("CPU", "", "CPUs in use", loadgen.UnitCPUs, false, series,
			serverCurve("server", mergeMean, func(s *loadgen.Sample) float64 { return s.ServerCPU }),
			value("loadgen", mergeMean, func(s *loadgen.Sample) float64 { return s.SelfCPU }),
			curve{"all programs", mergeMean, func(s *loadgen.Sample) (float64, bool) {
				return s.HostCPU * float64(run.Result.Host.CPUs), s.HostCPU > 0
			}}),
	}
	return slices.DeleteFunc(all, func(c *chart) bool { return c.empty() || c.flat() })
}

// flat reports that all lines stay at zero: what a scenario doesn't do.
func (c *chart) flat() bool {
	for _, l := range c.lines {
		for _, p := range l.points {
			if p.y > 0 {
				return false
			}
		}
	}
	return true
}
