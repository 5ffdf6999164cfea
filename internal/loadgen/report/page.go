package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/units"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	Style   template.CSS
	Title   string
	Badge   string // the verdict in a word
	Class   string // good, bad or caution
	Lines   []string
	Command string

	SLOs     []loadgen.Verdict
	Failed   []string
	Warnings []string

	Tiles     []row
	Charts    []*chart
	Latencies []latencyRow
	Figures   []row
	Reasons   []reasonTable
	Settings  []row
	Knobs     []preflight.Finding
	Schema    string
}

// row is one line of a table.
type row struct{ Name, Value, About string }

type latencyRow struct {
	Name                           string
	Count                          int64
	P50, P90, P99, P999, Max, Mean string
}

type reasonTable struct {
	Title string
	Rows  []row
}

// Render writes a run as one page that needs nothing else.
func Render(w io.Writer, run *Run) error {
	if err := pageTemplate.Execute(w, newPage(run)); err != nil {
		return fmt.Errorf("render the report: %w", err)
	}
	return nil
}

func newPage(run *Run) *page {
	r := run.Result
	p := &page{
		Style:    style(),
		Title:    "loadgen " + r.Scenario,
		Lines:    subtitle(r),
		Command:  commandLine(r.Command),
		SLOs:     r.SLOs,
		Failed:   r.Failed,
		Warnings: r.Warnings,
		Tiles:    tiles(r),
		Charts:   charts(run),
		Settings: settings(r),
		Schema:   r.Schema,
	}
	p.Badge, p.Class = badge(r)
	if r.Aborted != "" {
		p.Failed = append([]string{"ended early: " + r.Aborted}, p.Failed...)
	}
	p.Latencies, p.Figures = figures(r)
	p.Reasons = reasons(r)
	p.Knobs = slices.Clone(r.Knobs)
	// What is to fix comes first.
	slices.SortStableFunc(p.Knobs, func(a, b preflight.Finding) int { return urgency(a) - urgency(b) })
	return p
}

func urgency(f preflight.Finding) int {
	return slices.Index([]preflight.Verdict{preflight.Fix, preflight.Pass, preflight.Skip}, f.Verdict)
}

func style() template.CSS {
	return template.CSS(":root{color-scheme:light dark;" + light.css() + "}\n@media (prefers-color-scheme:dark){:root{" + dark.css() + "}}\n" + styleText)
}

// badge is the run in a word, and the class of its colour.
func badge(r *loadgen.Result) (word, class string) {
	word = r.Word()
	switch {
	case word == "OK":
		return word, "good"
	case r.Interrupted && r.Aborted == "":
		return word, "caution"
	}
	return word, "bad"
}

func subtitle(r *loadgen.Result) []string {
	began := r.Started
	if t, err := time.Parse(time.RFC3339Nano, r.Started); err == nil {
		began = t.Format("2006-01-02 15:04:05 MST")
	}
	s := r.Settings
	return []string{
		fmt.Sprintf("%d clients over %s to %s", s.Connections, s.Transport, s.URL),
		fmt.Sprintf("%s, %.0f s; Linux %s, %d CPUs, %s memory", began, r.Seconds, r.Host.Kernel, r.Host.CPUs,
			loadgen.FormatFigure(loadgen.UnitBytes, float64(r.Host.Memory))),
	}
}

// commandLine quotes what a shell would take apart.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		// The first is the program with its subcommand.
		if i > 0 && (w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>(){}[]*?#~`!%")) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

// tileFigures are what most runs are looked at for.
var tileFigures = []struct{ figure, title string }{
	{"clients", "clients ready"},
	{"connects_per_second", "connects"},
	{"rss_per_conn", "server memory per client"},
	{"cpu_idle", "server CPU, clients idle"},
	{"delivered_per_second", "deliveries"},
	{"delivery.p50", "delivery p50"},
	{"delivery.p99", "delivery p99"},
	{"delivery.max", "delivery max"},
	{"missing", "missing"},
	{"back_95", "95 % are back"},
	{"back_100", "all are back"},
	{"cycles_per_second", "churn"},
	{"slow_p99_ratio", "p99 beside slow clients"},
	{"rss_per_slow_client", "memory per slow client"},
	{"cpu_per_delivery", "server CPU per delivery"},
}

func tiles(r *loadgen.Result) []row {
	var all []row
	for _, t := range tileFigures {
		f, ok := loadgen.FindFigure(t.figure)
		if !ok {
			continue
		}
		if v, known := f.Of(r); known {
			all = append(all, row{t.title, loadgen.FormatFigure(f.Unit, v), f.About})
		}
	}
	return all
}

// figures lists what was measured: latencies by name and percentile, the rest
// line by line.
func figures(r *loadgen.Result) (latencies []latencyRow, rest []row) {
	add := func(name string, l loadgen.Latency) { latencies = appendLatency(latencies, name, l) }
	add("handshake", r.Connect.Handshake)
	add("handshake, from intended time", r.Connect.HandshakeDue)
	add("ready", r.Connect.Ready)
	if f := r.Fanout; f != nil {
		add("delivery, from intended time", f.Due)
		add("delivery, from real send time", f.Real)
		add("send to the last subscriber", f.Completion)
		add(f.PublishTitle(), f.Publish)
	}
	if s := r.Storm; s != nil {
		add("handshake, coming back", s.Handshake)
		add("ready, coming back", s.Ready)
	}
	if c := r.Churn; c != nil {
		add("handshake, churn", c.Handshake)
		add("handshake, churn, from intended time", c.HandshakeDue)
		add("ready, churn", c.Ready)
	}
	if s := r.Slow; s != nil && s.Baseline != nil {
		add("delivery before the slow clients", s.Baseline.Due)
	}
	for _, f := range loadgen.Figures() {
		if strings.Contains(f.Name, ".") {
			continue // a latency
		}
		if v, known := f.Of(r); known {
			rest = append(rest, row{f.Name, loadgen.FormatFigure(f.Unit, v), f.About})
		}
	}
	return latencies, rest
}

func appendLatency(all []latencyRow, name string, l loadgen.Latency) []latencyRow {
	if l.Count == 0 {
		return all
	}
	text := func(ns float64) string { return loadgen.FormatFigure(loadgen.UnitDuration, ns) }
	return append(all, latencyRow{name, l.Count, text(float64(l.P50)), text(float64(l.P90)), text(float64(l.P99)),
		text(float64(l.P999)), text(float64(l.Max)), text(l.Mean)})
}

func reasons(r *loadgen.Result) []reasonTable {
	var all []reasonTable
	for _, t := range []struct {
		title string
		of    map[loadgen.Reason]uint64
	}{
		{"Clients that never were ready", r.Failures},
		{"Attempts to come back that failed", r.Retries},
		{"Clients lost", r.Losses},
		{"Connections that ended at the proxy", r.ProxyCuts},
		{"Told to come later", r.Deferrals},
		{"Error messages", r.Errors},
		{"Slow clients that were closed", slowCloses(r)},
	} {
		table := reasonTable{Title: t.title}
		for _, why := range slices.SortedFunc(maps.Keys(t.of), func(a, b loadgen.Reason) int {
			if t.of[a] != t.of[b] {
				return int(int64(t.of[b]) - int64(t.of[a]))
			}
			return strings.Compare(string(a), string(b))
		}) {
			table.Rows = append(table.Rows, row{Name: string(why), Value: fmt.Sprint(t.of[why])})
		}
		if len(table.Rows) > 0 {
			all = append(all, table)
		}
	}
	if len(r.Addresses) > 0 {
		table := reasonTable{Title: "Addresses"}
		for _, a := range r.Addresses {
			table.Rows = append(table.Rows, row{Name: a.Address, Value: a.Account()})
		}
		all = append(all, table)
	}
	return all
}

func slowCloses(r *loadgen.Result) map[loadgen.Reason]uint64 {
	if r.Slow == nil {
		return nil
	}
	return r.Slow.Closes
}

func settings(r *loadgen.Result) []row {
	s := r.Settings
	rows := []row{
		{Name: "url", Value: s.URL},
		{Name: "transport", Value: s.Transport},
		{Name: "through", Value: r.Proxy},
		{Name: "clients", Value: fmt.Sprint(s.Connections)},
		{Name: "handshakes at the same time", Value: fmt.Sprint(s.InFlight)},
		{Name: "channels", Value: s.Channels},
		{Name: "source addresses", Value: fmt.Sprint(s.Sources)},
		{Name: "event loops", Value: fmt.Sprint(s.Loops)},
	}
	rows = slices.DeleteFunc(rows, func(x row) bool { return x.Value == "" })
	for _, hello := range s.Hello {
		rows = append(rows, row{Name: "hello", Value: hello})
	}
	if s.Publish != "" {
		rows = append(rows, row{Name: "published by", Value: s.Publish})
	}
	for _, x := range r.NotMeasured {
		what, why, _ := strings.Cut(x, ": ")
		rows = append(rows, row{Name: "not measured: " + what, Value: why})
	}
	if f := r.Fanout; f != nil {
		rows = append(rows, row{Name: "messages", Value: fmt.Sprint(f.Asked)}, row{Name: "bytes of a message", Value: fmt.Sprint(f.Size)})
		if f.Rate > 0 {
			rows = append(rows, row{Name: "messages per second", Value: units.Number(f.Rate)})
		}
	}
	if v := r.Server; v != nil {
		rows = append(rows, row{Name: "server process", Value: fmt.Sprintf("%s, %d", v.Name, v.PID)})
	}
	return append(rows, row{Name: "run", Value: r.Run}, row{Name: "Go", Value: r.Host.Go})
}
