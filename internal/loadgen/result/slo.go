package result

import (
	"errors"
	"fmt"
	"math"
	"slices"
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
	i := slices.IndexFunc(sloOperators, func(op string) bool { return strings.HasPrefix(rest, op) })
	if i < 0 {
		return wrong("%q is no operator, want one of %s", rest[:1], strings.Join(sloOperators, " "))
	}
	f, ok := FindFigure(name)
	if !ok {
		var names []string
		for _, f := range Figures() {
			names = append(names, f.Name)
		}
		return wrong("no figure is called %q; there are %s", name, strings.Join(names, ", "))
	}
	limit, err := units.Parse(strings.TrimSpace(strings.TrimPrefix(rest, sloOperators[i])), forms[f.Unit].limits, forms[f.Unit].example)
	if err != nil {
		return wrong("the limit %v", err)
	}
	if f.Unit == UnitDuration {
		limit = math.Round(limit) // latencies are whole ns
	}
	return SLO{Figure: f, Op: sloOperators[i], Limit: limit}, nil
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

// forms are how a value of each unit is written.
var forms = map[Unit]struct {
	limits  units.Factors // the units that a limit may have
	example string        // of a limit
	suffix  string        // of a limit in full
	people  func(v float64) string
}{
	UnitCount:    {units.Counts, "a number such as 0 or 10k", "", units.Short},
	UnitDuration: {units.Durations, "a duration such as 200ms; units are ns, us, ms, s, m", "ns", func(v float64) string { return short(int64(v)) }},
	UnitBytes:    {units.Sizes, "a size such as 600B; units are B, KiB, MiB, GiB", "B", units.Bytes},
	UnitRate:     {units.Rates, "a rate such as 5000/s", "/s", func(v float64) string { return units.Short(v) + " /s" }},
	UnitPercent:  {units.Factors{"": 1, "%": 1}, "a share such as 0.1%", "%", func(v float64) string { return units.Short(v) + " %" }},
	UnitCPUs:     {units.Factors{"": 1}, "a number such as 1.5", "", func(v float64) string { return fmt.Sprintf("%.2f CPUs", v) }},
	UnitRatio:    {units.Factors{"": 1}, "a number such as 1.5", "", func(v float64) string { return fmt.Sprintf("%.2f", v) }},
}

// FormatFigure writes a value in its unit for people.
func FormatFigure(u Unit, v float64) string {
	if form, known := forms[u]; known {
		return form.people(v)
	}
	return units.Short(v)
}

// String writes the SLO as ParseSLO reads it.
func (s SLO) String() string {
	limit, suffix := s.Limit, forms[s.Figure.Unit].suffix
	if s.Figure.Unit == UnitDuration {
		for _, u := range []string{"s", "ms", "us"} {
			if f := units.Durations[u]; s.Limit >= f && s.Limit/f*f == s.Limit {
				limit, suffix = s.Limit/f, u
				break
			}
		}
	}
	return s.Figure.Name + s.Op + units.Number(limit) + suffix
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

// Judge compares one run with the limit.
func (s SLO) Judge(r *Result) Verdict {
	v, measured := s.Figure.Of(r)
	return Verdict{SLO: s.String(), Figure: s.Figure.Name, Unit: s.Figure.Unit, Limit: s.Limit,
		Measured: measured, Value: v, Met: measured && s.holds(v)}
}

// Judge compares the run with the SLOs and keeps the verdicts in the result.
func (r *Result) Judge(slos []SLO) {
	r.SLOs = nil
	for _, s := range slos {
		r.SLOs = append(r.SLOs, s.Judge(r))
	}
}

// Met reports whether no SLO was missed.
func (r *Result) Met() bool {
	return !slices.ContainsFunc(r.SLOs, func(v Verdict) bool { return !v.Met })
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
