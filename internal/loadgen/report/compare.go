package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// Opinion says what a difference between two runs is worth.
type Opinion string

const (
	Same        Opinion = "same"
	WithinNoise Opinion = "within noise"
	Differs     Opinion = "differs"
	// NoNoise: the runs were too short to tell how much their seconds differ.
	NoNoise Opinion = "noise not known"
	// Exact: a count has no noise, but one run doesn't say what the next does.
	Exact Opinion = "differs, a count"
)

// Difference is one figure of two runs.
type Difference struct {
	Figure string       `json:"figure"`
	Unit   loadgen.Unit `json:"unit"`
	A      float64      `json:"a"`
	B      float64      `json:"b"`
	// Percent is B against A; 0 where A is 0.
	Percent float64 `json:"percent"`
	// Noise is how far the figure's seconds lie apart within the runs: the
	// standard deviations of both, added as independent ones are, twice.
	Noise   float64 `json:"noise"`
	Opinion Opinion `json:"opinion"`
}

// Comparison is two runs side by side.
type Comparison struct {
	A           string       `json:"a"`
	B           string       `json:"b"`
	Unlike      []string     `json:"unlike"` // settings that differ
	Differences []Difference `json:"differences"`
	OnlyA       []string     `json:"only_a"`
	OnlyB       []string     `json:"only_b"`
}

// enough seconds to speak of their spread.
const enough = 5

// seconds tells which value of a sample a figure of the run is made of, and
// in which phases.
type seconds struct {
	of     func(*loadgen.Sample) (float64, bool)
	phases []loadgen.Phase
}

// secondsOf is by figure; a figure that isn't in it is a count, or is not
// made of seconds.
var secondsOf = map[string]seconds{
	"connects_per_second":  {func(s *loadgen.Sample) (float64, bool) { return s.ReadyPS, s.ReadyPS > 0 }, []loadgen.Phase{loadgen.PhaseConnect}},
	"delivered_per_second": {func(s *loadgen.Sample) (float64, bool) { return s.DeliveredPS, s.DeliveredPS > 0 }, publishes},
	"delivery.p50":         {ofDue(func(l loadgen.Latency) float64 { return float64(l.P50) }), nil},
	"delivery.p90":         {ofDue(func(l loadgen.Latency) float64 { return float64(l.P90) }), nil},
	"delivery.p99":         {ofDue(func(l loadgen.Latency) float64 { return float64(l.P99) }), nil},
	"delivery.p99.9":       {ofDue(func(l loadgen.Latency) float64 { return float64(l.P999) }), nil},
	"delivery.max":         {ofDue(func(l loadgen.Latency) float64 { return float64(l.Max) }), nil},
	"delivery.mean":        {ofDue(func(l loadgen.Latency) float64 { return l.Mean }), nil},
	"rss_per_conn":         {func(s *loadgen.Sample) (float64, bool) { return s.RSSPerConnection, s.Server != nil && s.Open > 0 }, settled},
	"rss": {func(s *loadgen.Sample) (float64, bool) {
		if s.Server == nil {
			return 0, false
		}
		return float64(s.Server.RSS), true
	}, settled},
	"cpu_idle":       {func(s *loadgen.Sample) (float64, bool) { return s.ServerCPU * 100, s.Server != nil }, []loadgen.Phase{loadgen.PhaseHold}},
	"cpu_publishing": {func(s *loadgen.Sample) (float64, bool) { return s.ServerCPU, s.Server != nil }, publishes},
	"cpu_per_delivery": {func(s *loadgen.Sample) (float64, bool) {
		return s.ServerCPU / s.DeliveredPS * 1e9, s.Server != nil && s.DeliveredPS > 0
	}, publishes},
	"self_busy": {func(s *loadgen.Sample) (float64, bool) { return s.LoopBusy * 100, true }, settled},
}

var (
	publishes = []loadgen.Phase{loadgen.PhasePublish, loadgen.PhaseWait}
	settled   = []loadgen.Phase{loadgen.PhaseHold, loadgen.PhasePublish, loadgen.PhaseWait}
)

func ofDue(of func(loadgen.Latency) float64) func(*loadgen.Sample) (float64, bool) {
	return func(s *loadgen.Sample) (float64, bool) { return of(s.Due), s.Due.Count > 0 }
}

// spread returns the standard deviation of a figure's seconds.
func (x seconds) spread(r *loadgen.Result) (sd float64, known bool) {
	var values []float64
	for i := range r.Series {
		s := &r.Series[i]
		if x.phases != nil && !slices.Contains(x.phases, s.Phase) {
			continue
		}
		if v, ok := x.of(s); ok {
			values = append(values, v)
		}
	}
	if len(values) < enough {
		return 0, false
	}
	mean, sum := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(values)-1)), true
}

// Compare puts two runs side by side, figure by figure.
func Compare(a, b *Run) *Comparison {
	c := &Comparison{A: a.Path, B: b.Path, Unlike: unlike(a.Result, b.Result)}
	for _, f := range loadgen.Figures() {
		va, inA := f.Of(a.Result)
		vb, inB := f.Of(b.Result)
		switch {
		case inA && inB:
			c.Differences = append(c.Differences, difference(f, va, vb, a.Result, b.Result))
		case inA:
			c.OnlyA = append(c.OnlyA, f.Name)
		case inB:
			c.OnlyB = append(c.OnlyB, f.Name)
		}
	}
	return c
}

func difference(f loadgen.Figure, va, vb float64, a, b *loadgen.Result) Difference {
	d := Difference{Figure: f.Name, Unit: f.Unit, A: va, B: vb, Opinion: NoNoise}
	if va != 0 {
		d.Percent = (vb - va) / va * 100
	}
	x, overTime := secondsOf[f.Name]
	sa, knownA := 0.0, false
	sb, knownB := 0.0, false
	if overTime {
		sa, knownA = x.spread(a)
		sb, knownB = x.spread(b)
	}
	switch {
	case va == vb:
		d.Opinion = Same
	case f.Unit == loadgen.UnitCount:
		d.Opinion = Exact
	case knownA && knownB:
		// Not divided by the number of seconds: seconds of one run resemble
		// each other more than those of two runs do.
		d.Noise = 2 * math.Hypot(sa, sb)
		d.Opinion = Differs
		if math.Abs(vb-va) <= d.Noise {
			d.Opinion = WithinNoise
		}
	}
	return d
}

// unlike lists what was not the same for both runs, which the figures must be
// read with.
func unlike(a, b *loadgen.Result) []string {
	var all []string
	add := func(what string, x, y any) {
		if x != y {
			all = append(all, fmt.Sprintf("%s: %v, %v", what, x, y))
		}
	}
	add("scenario", a.Scenario, b.Scenario)
	add("clients", a.Settings.Connections, b.Settings.Connections)
	add("transport", a.Settings.Transport, b.Settings.Transport)
	add("channels", a.Settings.Channels, b.Settings.Channels)
	add("connects at the same time", a.Settings.InFlight, b.Settings.InFlight)
	add("connect rate", a.Settings.ConnectRate, b.Settings.ConnectRate)
	add("headers", strings.Join(a.Settings.Headers, "; "), strings.Join(b.Settings.Headers, "; "))
	add("origin", a.Settings.Origin, b.Settings.Origin)
	add("subprotocol", a.Settings.Subprotocol, b.Settings.Subprotocol)
	add("foreign server", a.Settings.Foreign, b.Settings.Foreign)
	add("hello", strings.Join(a.Settings.Hello, "; "), strings.Join(b.Settings.Hello, "; "))
	add("published by", a.Settings.Publish, b.Settings.Publish)
	add("loops", a.Settings.Loops, b.Settings.Loops)
	if x, y := a.Settings.Load, b.Settings.Load; x != nil && y != nil {
		add("stages", x.Stages, y.Stages)
		add("agents", x.Agents, y.Agents)
		add("share", x.Share, y.Share)
		add("slow share", x.SlowShare, y.SlowShare)
		add("slow read", x.SlowRead, y.SlowRead)
		add("churn rate", x.ChurnRate, y.ChurnRate)
		add("resume", x.Resume, y.Resume)
		add("server signal", x.ServerSignal, y.ServerSignal)
		add("backoff in s", x.Backoff, y.Backoff)
		add("longest backoff in s", x.BackoffMost, y.BackoffMost)
		add("before in s", x.Before, y.Before)
		add("after in s", x.After, y.After)
		add("duration in s", x.Duration, y.Duration)
		add("hold in s", x.Hold, y.Hold)
	}
	if a.Fanout != nil && b.Fanout != nil {
		add("messages", a.Fanout.Asked, b.Fanout.Asked)
		add("message rate", a.Fanout.Rate, b.Fanout.Rate)
		add("message size", a.Fanout.Size, b.Fanout.Size)
		add("durable", a.Fanout.Durable, b.Fanout.Durable)
	}
	add("kernel", a.Host.Kernel, b.Host.Kernel)
	add("CPUs", a.Host.CPUs, b.Host.CPUs)
	add("memory", a.Host.Memory, b.Host.Memory)
	add("outcome", a.Word(), b.Word())
	return all
}

// WriteText writes the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "A  %s\nB  %s\n", c.A, c.B)
	for i, x := range c.Unlike {
		if i == 0 {
			fmt.Fprintf(&b, "\nNot the same in both:\n")
		}
		fmt.Fprintf(&b, "  %s\n", x)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FIGURE\tA\tB\tB - A\tNOISE\t")
	for _, d := range c.Differences {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Figure, loadgen.FormatFigure(d.Unit, d.A), loadgen.FormatFigure(d.Unit, d.B),
			d.change(), d.noise(), d.Opinion)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, x := range []struct {
		which string
		names []string
	}{{"A", c.OnlyA}, {"B", c.OnlyB}} {
		if len(x.names) > 0 {
			fmt.Fprintf(&b, "\nOnly in %s: %s\n", x.which, strings.Join(x.names, ", "))
		}
	}
	fmt.Fprintf(&b, "\nThe noise is twice the spread of the seconds within the two runs. What lies\n"+
		"within it can be chance; what does not was at least no chance within a run.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (d Difference) change() string {
	switch {
	case d.A == d.B:
		return "0"
	case d.A == 0:
		return "+" + loadgen.FormatFigure(d.Unit, d.B)
	}
	return fmt.Sprintf("%+.1f %%", d.Percent)
}

func (d Difference) noise() string {
	switch {
	case d.Opinion != WithinNoise && d.Opinion != Differs:
		return "-"
	case d.A == 0:
		return "+-" + loadgen.FormatFigure(d.Unit, d.Noise)
	}
	return fmt.Sprintf("+-%.1f %%", d.Noise/math.Abs(d.A)*100)
}
