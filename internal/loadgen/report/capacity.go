package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/capacity"
)

// RenderCapacity writes the outcome of a climb as one page that needs nothing
// else.
func RenderCapacity(w io.Writer, o *capacity.Outcome) error {
	p := &page{
		Title:    "loadgen capacity",
		Badge:    o.Word(),
		Class:    "bad",
		Lines:    []string{fmt.Sprintf("%s, over %s", o.Server, o.Over()), onHost(o.Started, o.Seconds, o.Host)},
		Command:  commandLine(o.Command),
		Failed:   o.Failed,
		Warnings: o.Warnings,
		Plots:    &plots{Fits: &o.Fits, Verified: o.Verified},
		Source:   fmt.Sprintf("run.json (%s)", o.Schema),
	}
	switch {
	case o.Interrupted:
		p.Class = "caution"
	case o.Good():
		p.Class = "good"
	}
	if b := o.Bill; b != nil {
		bill := pageTable(b.Table(), "", "n strong", "n", "nowrap", "muted wide")
		bill.Head, bill.Stack = []string{"", "needed", "scatter", "basis", "how"}, true
		p.Above = append(p.Above, bill, limits(b))
	}
	if v := o.Verified; v != nil {
		p.Tiles = []row{
			{Name: "connections, checked", Value: fmt.Sprint(v.Connections)},
			{Name: "fitted up to", Value: fmt.Sprint(v.Largest)},
			{Name: "prediction against measurement", Value: fmt.Sprintf("%+.1f %%", v.Percent)},
		}
	}
	p.Below = append(p.Below, pageTable(o.Costs(), "", "n"))
	for _, t := range o.Measured() {
		p.Below = append(p.Below, pageTable(t, "n", "n", "n", "n", "n", "n", "muted"))
	}
	return p.render(w)
}

func pageTable(t capacity.Table, classes ...string) table {
	about := strings.TrimSpace(strings.Join([]string{t.About, t.After}, "\n"))
	return table{Title: t.Title, About: about, Classes: classes, Head: t.Head, Rows: t.Rows}
}

func limits(b *capacity.Bill) table {
	t := table{Title: fmt.Sprintf("Limits below %d", b.Target), Classes: []string{"n strong", "", "muted wide", "code wide"}, Stack: true}
	if len(b.Limits) == 0 {
		t.About = "None is hit before."
		return t
	}
	t.Head = []string{"carries", "limit, the nearest first", "why", "fix"}
	for _, l := range b.Limits {
		t.Rows = append(t.Rows, []string{fmt.Sprint(l.Carries), l.Name, l.Why, l.Fix})
	}
	return t
}
