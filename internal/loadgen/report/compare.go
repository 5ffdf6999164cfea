package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// Opinion is the worth of a difference between two runs.
type Opinion string

const (
	Same        Opinion = "same"
	WithinNoise Opinion = "within noise"
	Differs     Opinion = "differs"
	// NoNoise: the runs were too short to tell how much their seconds differ.
	NoNoise Opinion = "noise not known"
	// Exact: a count has no noise, but one run tells little of the next.
	Exact Opinion = "differs, a count"
)

// Difference is one figure of two runs.
type Difference struct {
	Figure string      `json:"figure"`
	Unit   result.Unit `json:"unit"`
	A      float64     `json:"a"`
	B      float64     `json:"b"`
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

// seconds are the values of a run's samples that a figure is made of, in some
// phases.
type seconds struct {
	of     measure
	phases []result.Phase // nil: all
}

var (
	connecting = []result.Phase{result.PhaseConnect}
	holding    = []result.Phase{result.PhaseHold}
	publishes  = []result.Phase{result.PhasePublish, result.PhaseWait}
	settled    = []result.Phase{result.PhaseHold, result.PhasePublish, result.PhaseWait}
)

// secondsOf is by figure; a figure that isn't in it is a count, or is not
// made of seconds.
var secondsOf = map[string]seconds{
	"connects_per_second":  {at("ready_per_second").positive(), connecting},
	"delivered_per_second": {at("delivered_per_second").positive(), publishes},
	"delivery.p50":         {at("latency_from_due.p50_ns"), nil},
	"delivery.p90":         {at("latency_from_due.p90_ns"), nil},
	"delivery.p99":         {at("latency_from_due.p99_ns"), nil},
	"delivery.p99.9":       {at("latency_from_due.p999_ns"), nil},
	"delivery.max":         {at("latency_from_due.max_ns"), nil},
	"delivery.mean":        {at("latency_from_due.mean_ns"), nil},
	"rss_per_conn":         {at("rss_per_connection_bytes"), settled},
	"rss":                  {at("server.rss_bytes"), settled},
	"cpu_idle":             {at("server_cpu").times(100), holding},
	"cpu_publishing":       {at("server_cpu"), publishes},
	"cpu_per_delivery": {func(s *result.Sample) (float64, bool) {
		return s.ServerCPU / s.DeliveredPS * 1e9, s.Server != nil && s.DeliveredPS > 0
	}, publishes},
	"self_busy": {at("loop_busy").times(100), settled},
}

// in returns the values of samples in some phases, nil: all.
func (m measure) in(series []result.Sample, phases []result.Phase) (values []float64) {
	for i := range series {
		if phases != nil && !slices.Contains(phases, series[i].Phase) {
			continue
		}
		if v, known := m(&series[i]); known {
			values = append(values, v)
		}
	}
	return values
}

// spread returns the standard deviation of a figure's seconds.
func (x seconds) spread(r *result.Result) (sd float64, known bool) {
	values := x.of.in(r.Series, x.phases)
	if len(values) < enough {
		return 0, false
	}
	m, sum := mean(values), 0.0
	for _, v := range values {
		sum += (v - m) * (v - m)
	}
	return math.Sqrt(sum / float64(len(values)-1)), true
}

// Compare puts two runs side by side, figure by figure.
func Compare(a, b *Run) *Comparison {
	c := &Comparison{A: a.Path, B: b.Path, Unlike: unlike(a.Result, b.Result)}
	for _, f := range result.Figures() {
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

func difference(f result.Figure, va, vb float64, a, b *result.Result) Difference {
	d := Difference{Figure: f.Name, Unit: f.Unit, A: va, B: vb, Opinion: NoNoise}
	if va != 0 {
		d.Percent = (vb - va) / va * 100
	}
	var sa, sb float64
	var knownA, knownB bool
	if x, perSecond := secondsOf[f.Name]; perSecond {
		sa, knownA = x.spread(a)
		sb, knownB = x.spread(b)
	}
	switch {
	case va == vb:
		d.Opinion = Same
	case f.Unit == result.UnitCount:
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

// unlike lists the conditions that were not the same for both runs, where both
// tell them. Where the server was says nothing.
func unlike(a, b *result.Result) []string {
	others := conditions(b)
	var all []string
	for _, x := range conditions(a) {
		i := slices.IndexFunc(others, func(y row) bool { return y.Name == x.Name })
		if i >= 0 && x.Value != others[i].Value && x.Name != "url" {
			all = append(all, fmt.Sprintf("%s: %s, %s", x.Name, x.Value, others[i].Value))
		}
	}
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Figure, result.FormatFigure(d.Unit, d.A), result.FormatFigure(d.Unit, d.B),
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
		return "+" + result.FormatFigure(d.Unit, d.B)
	}
	return fmt.Sprintf("%+.1f %%", d.Percent)
}

func (d Difference) noise() string {
	switch {
	case d.Opinion != WithinNoise && d.Opinion != Differs:
		return "-"
	case d.A == 0:
		return "+-" + result.FormatFigure(d.Unit, d.Noise)
	}
	return fmt.Sprintf("+-%.1f %%", d.Noise/math.Abs(d.A)*100)
}
