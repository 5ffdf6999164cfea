package result

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/units"
)

// SLO is a limit for one figure of a run, such as delivery.p99<200ms.
type SLO struct {
	Figure Figure
	Op     string  // < <= > >= == !=
	Limit  float64 // in the figure's unit; ns for a duration
}

// Verdict is an SLO with its value in a run.
type Verdict struct {
	SLO      string  `json:"slo"`
	Figure   string  `json:"figure"`
	Unit     Unit    `json:"unit"`
	Limit    float64 `json:"limit"`
	Measured bool    `json:"measured"` // false counts as missed
	Value    float64 `json:"value"`
	Met      bool    `json:"met"`
}

// Text says in a few words the reason for the verdict.
func (v Verdict) Text() string {
	if !v.Measured {
		return "not measured in this run"
	}
	return FormatFigure(v.Unit, v.Value)
}

// sloOperators in the order in which they are looked for.
var sloOperators = []string{"<=", ">=", "==", "!=", "<", ">"}

const maxSLOLength = 200

// ParseSLO reads FIGURE OPERATOR LIMIT; blanks may stand between them. Its
// error is a *UsageError.
func ParseSLO(text string) (SLO, error) {
	wrong := func(format string, args ...any) (SLO, error) {
		shown := text
		if len(shown) > maxSLOLength {
			shown = shown[:maxSLOLength] + "..."
		}
		return SLO{}, &plan.UsageError{Flag: "--slo", Value: strconv.Quote(shown), Want: fmt.Sprintf(format, args...)}
	}
	if len(text) > maxSLOLength {
		return wrong("too long")
	}
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return wrong("want a figure, an operator and a limit, such as delivery.p99<200ms; operators are %s", strings.Join(sloOperators, " "))
	}
	name, rest := strings.TrimSpace(text[:at]), text[at:]
	op := ""
	for _, o := range sloOperators {
		if strings.HasPrefix(rest, o) {
			op = o
			break
		}
	}
	if op == "" {
		return wrong("%q is no operator, want one of %s", rest[:1], strings.Join(sloOperators, " "))
	}
	f, ok := FindFigure(name)
	if !ok {
		return wrong("no figure is called %q; there are %s", name, strings.Join(figureNames(), ", "))
	}
	limit, err := units.Parse(strings.TrimSpace(rest[len(op):]), limitUnits[f.Unit], unitExample[f.Unit])
	if err != nil {
		return wrong("the limit %v", err)
	}
	if f.Unit == UnitDuration {
		limit = math.Round(limit) // latencies are whole ns
	}
	return SLO{Figure: f, Op: op, Limit: limit}, nil
}

// ParseSLOs reads all of a command line and reports everything that is wrong.
func ParseSLOs(texts []string) ([]SLO, error) {
	var (
		all   []SLO
		wrong []error
	)
	for _, text := range texts {
		s, err := ParseSLO(text)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		all = append(all, s)
	}
	return all, errors.Join(wrong...)
}

func figureNames() []string {
	var names []string
	for _, f := range Figures() {
		names = append(names, f.Name)
	}
	return names
}

// limitUnits are the units that a limit may be written in.
var limitUnits = map[Unit]units.Factors{
	UnitCount:    units.Counts,
	UnitDuration: units.Durations,
	UnitBytes:    units.Sizes,
	UnitRate:     units.Rates,
	UnitPercent:  {"": 1, "%": 1},
	UnitCPUs:     {"": 1},
	UnitRatio:    {"": 1},
}

// unitExample shows how a limit of the unit is written.
var unitExample = map[Unit]string{
	UnitCount:    "a number such as 0 or 10k",
	UnitDuration: "a duration such as 200ms; units are ns, us, ms, s, m",
	UnitBytes:    "a size such as 600B; units are B, KiB, MiB, GiB",
	UnitRate:     "a rate such as 5000/s",
	UnitPercent:  "a share such as 0.1%",
	UnitCPUs:     "a number such as 1.5",
	UnitRatio:    "a number such as 1.5",
}

// String writes the SLO as ParseSLO reads it.
func (s SLO) String() string {
	suffix := map[Unit]string{UnitDuration: "ns", UnitBytes: "B", UnitRate: "/s", UnitPercent: "%"}[s.Figure.Unit]
	factor := 1.0
	if s.Figure.Unit == UnitDuration {
		for _, u := range []string{"s", "ms", "us"} {
			if f := limitUnits[UnitDuration][u]; s.Limit >= f && s.Limit/f*f == s.Limit {
				suffix, factor = u, f
				break
			}
		}
	}
	return s.Figure.Name + s.Op + strconv.FormatFloat(s.Limit/factor, 'f', -1, 64) + suffix
}

// holds reports whether a value meets the limit.
func (s SLO) holds(v float64) bool {
	switch s.Op {
	case "<":
		return v < s.Limit
	case "<=":
		return v <= s.Limit
	case ">":
		return v > s.Limit
	case ">=":
		return v >= s.Limit
	case "==":
		return v == s.Limit
	}
	return v != s.Limit
}

func (s SLO) verdict(v float64, measured bool) Verdict {
	return Verdict{SLO: s.String(), Figure: s.Figure.Name, Unit: s.Figure.Unit, Limit: s.Limit,
		Measured: measured, Value: v, Met: measured && s.holds(v)}
}

// Judge compares one run with the limit.
func (s SLO) Judge(r *Result) Verdict { return s.verdict(s.Figure.Of(r)) }

// Judge compares the run with the SLOs and keeps the verdicts in the result.
func (r *Result) Judge(slos []SLO) {
	r.SLOs = nil
	for _, s := range slos {
		r.SLOs = append(r.SLOs, s.Judge(r))
	}
}

// Met reports whether no SLO was missed.
func (r *Result) Met() bool {
	for _, v := range r.SLOs {
		if !v.Met {
			return false
		}
	}
	return true
}

// FormatFigure writes a value in its unit for people.
func FormatFigure(u Unit, v float64) string {
	switch u {
	case UnitDuration:
		return short(int64(v))
	case UnitBytes:
		return units.Bytes(v)
	case UnitPercent:
		return units.Short(v) + " %"
	case UnitRate:
		return units.Short(v) + " /s"
	case UnitRatio:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case UnitCPUs:
		return strconv.FormatFloat(v, 'f', 2, 64) + " CPUs"
	}
	return units.Short(v)
}

// Word is the run in a word or two, the gravest thing first.
func (r *Result) Word() string {
	switch {
	case r.Interrupted && r.Aborted == "":
		return "INTERRUPTED"
	case !r.Met() && !r.Partial:
		return "SLO MISSED"
	case !r.Good():
		return "FAILED"
	}
	return "OK"
}

// short writes a duration in ns.
func short(ns int64) string { return units.Duration(time.Duration(ns)) }
