package report

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/probe"
	"github.com/pushgate/pushgate/internal/units"
)

// files are all that the page is made of: uPlot (MIT, with its licence), the few
// lines that hand it the data, and the page itself.
//
//go:embed page.html page.css page.js uplot
var files embed.FS

func file(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // every test of this package fails
	}
	return string(text)
}

// tones are the colours of words in tables.
var tones = map[string]string{"FIX": "bad", "missed": "bad", "met": "good"}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"tone": func(text string) string { return tones[text] },
	"at":   func(all []string, i int) string { return all[min(i, len(all)-1)] },
}).Parse(file("page.html")))

// page is the data of the template, of a run or of a climb.
type page struct {
	Title, Badge, Class string // the badge is the verdict in a word; its class good, bad or caution
	Lines               []string
	Command             string
	Failed, Warnings    []string

	Above  []table // the charts
	Tiles  []row
	Plots  *plots
	Below  []table
	Source string
}

// row is one value with its name.
type row struct{ Name, Value, About string }

// table is a part of the page, left out when it has neither rows nor a sentence
// about them; further columns have the class of the last one.
type table struct {
	Title, About string
	Classes      []string
	Head         []string
	Rows         [][]string
	Stack        bool // on a phone the cells of a row stand below each other
}

// Style and Script are all that the page needs besides.
func (*page) Style() template.CSS {
	return template.CSS(file("uplot/uplot.min.css") + "\n" + file("page.css"))
}
func (*page) Script() template.JS {
	return template.JS("/*\nuPlot\n" + file("uplot/LICENSE") + "*/\n" + file("uplot/uplot.iife.min.js") + "\n" + file("page.js"))
}

func (p *page) render(w io.Writer) error {
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("render the report: %w", err)
	}
	return nil
}

// Render writes a run as one page that needs nothing else.
func Render(w io.Writer, run *Run) error {
	r := run.Result
	s := r.Settings
	p := &page{
		Title:    "loadgen " + r.Scenario,
		Badge:    r.Word(),
		Class:    "bad",
		Lines:    []string{fmt.Sprintf("%d clients over %s to %s", s.Connections, s.Transport, s.URL), onHost(r.Started, r.Seconds, r.Host)},
		Command:  commandLine(r.Command),
		Failed:   r.Failed,
		Warnings: r.Warnings,
		Above:    []table{slos(r)},
		Tiles:    tiles(r),
		Plots:    plotsOf(run),
		Below:    slices.Concat(figures(r), reasons(r), []table{knobs(r), settings(r)}),
		Source:   fmt.Sprintf("run.json (%s), series.csv and latency.hlog", r.Schema),
	}
	switch {
	case p.Badge == "OK":
		p.Class = "good"
	case r.Interrupted && r.Aborted == "":
		p.Class = "caution"
	}
	if r.Aborted != "" {
		p.Failed = append([]string{"ended early: " + r.Aborted}, p.Failed...)
	}
	if len(r.Series) == 0 {
		p.Below = append([]table{{About: "The run was too short for a series: a sample is taken every second."}}, p.Below...)
	}
	return p.render(w)
}

// onHost says when something was measured, and where.
func onHost(started string, seconds float64, h probe.Host) string {
	if t, err := time.Parse(time.RFC3339Nano, started); err == nil {
		started = t.Format("2006-01-02 15:04:05 MST")
	}
	return fmt.Sprintf("%s, %.0f s; Linux %s, %d CPUs, %s memory", started, seconds, h.Kernel, h.CPUs, units.Bytes(float64(h.Memory)))
}

// commandLine quotes the words that a shell would take apart.
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

// tileFigures are the first to look at in most runs.
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

func tiles(r *result.Result) []row {
	var all []row
	for _, t := range tileFigures {
		if f, ok := result.FindFigure(t.figure); ok {
			if v, known := f.Of(r); known {
				all = append(all, row{t.title, result.FormatFigure(f.Unit, v), f.About})
			}
		}
	}
	return all
}

func slos(r *result.Result) table {
	t := table{Title: "SLOs", Classes: []string{"code", "n", "strong"}, Head: []string{"limit", "measured", "verdict"}}
	for _, v := range r.SLOs {
		met := "missed"
		if v.Met {
			met = "met"
		}
		t.Rows = append(t.Rows, []string{v.SLO, v.Text(), met})
	}
	return t
}

// figures lists the measurements: latencies by name and percentile, the rest
// line by line.
func figures(r *result.Result) []table {
	latencies := table{Title: "Latencies", Classes: []string{"code", "muted", "n"}, Head: []string{"", ""}}
	rest := table{Title: "Figures", Classes: []string{"code", "n", "muted wide"}, Stack: true}
	for _, f := range result.Figures() {
		v, known := f.Of(r)
		if !known {
			continue
		}
		text := result.FormatFigure(f.Unit, v)
		name, quantile, isLatency := strings.Cut(f.Name, ".")
		if !isLatency {
			rest.Rows = append(rest.Rows, []string{f.Name, text, f.About})
			continue
		}
		n := len(latencies.Rows)
		if n == 0 || latencies.Rows[n-1][0] != name {
			latencies.Rows = append(latencies.Rows, []string{name, f.About})
			n++
		}
		latencies.Rows[n-1] = append(latencies.Rows[n-1], text)
		if n == 1 {
			latencies.Head = append(latencies.Head, quantile)
		}
	}
	return []table{latencies, rest}
}

func reasons(r *result.Result) []table {
	var slow account.Tally
	if r.Slow != nil {
		slow = r.Slow.Closes
	}
	var all []table
	for _, x := range []struct {
		title string
		of    account.Tally
	}{
		{"Clients that never were ready", r.Failures},
		{"Attempts to come back that failed", r.Retries},
		{"Clients lost", r.Losses},
		{"Connections that ended at the proxy", r.ProxyCuts},
		{"Told to come later", r.Deferrals},
		{"Error messages", r.Errors},
		{"Slow clients that were closed", slow},
	} {
		t := table{Title: x.title, Classes: []string{"n", ""}}
		for _, why := range account.ByCount(x.of) {
			t.Rows = append(t.Rows, []string{fmt.Sprint(x.of[why]), string(why)})
		}
		all = append(all, t)
	}
	addresses := table{Title: "Addresses", Classes: []string{""}}
	for _, a := range r.Addresses {
		addresses.Rows = append(addresses.Rows, []string{a.Address, a.Account()})
	}
	return append(all, addresses)
}

// knobs lists the host's limits, those to fix first.
func knobs(r *result.Result) table {
	t := table{Title: "Limits of this host", Classes: []string{"strong", "code", "", "", "muted wide", "code wide"},
		Head: []string{"", "knob", "value", "needed", "why"}, Stack: true}
	for _, verdict := range []preflight.Verdict{preflight.Fix, preflight.Warn, preflight.Pass, preflight.Skip} {
		for _, f := range r.Knobs {
			if f.Verdict == verdict {
				t.Rows = append(t.Rows, slices.DeleteFunc([]string{string(f.Verdict), f.Name, cmp.Or(f.Value, "-"), f.Needed, f.Why, f.Fix},
					func(cell string) bool { return cell == "" }))
			}
		}
	}
	return t
}

// conditions are the circumstances of a run's figures, as names and values.
func conditions(r *result.Result) []row {
	all := append([]row{{Name: "scenario", Value: r.Scenario}}, fields(r.Settings)...)
	if r.Settings.Load != nil {
		all = append(all, fields(*r.Settings.Load)...)
	}
	add := func(name string, value any) { all = append(all, row{Name: name, Value: fmt.Sprint(value)}) }
	if f := r.Fanout; f != nil {
		add("messages", f.Asked)
		add("message rate", units.Number(f.Rate))
		add("message size", f.Size)
		add("durable", f.Durable)
	}
	add("kernel", r.Host.Kernel)
	add("CPUs", r.Host.CPUs)
	add("memory", units.Bytes(float64(r.Host.Memory)))
	add("outcome", r.Word())
	return all
}

// fields lists a struct of settings, each setting by its name in run.json.
func fields(settings any) []row {
	var all []row
	v := reflect.ValueOf(settings)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		x := row{Name: strings.ReplaceAll(name, "_", " ")}
		switch value := v.Field(i).Interface().(type) {
		case *result.Load:
			continue // fields of its own
		case float64:
			x.Value = units.Number(value)
		case []string:
			x.Value = strings.Join(value, "; ")
		default:
			x.Value = fmt.Sprint(value)
		}
		if x.Name == "connections" {
			x.Name = "clients"
		}
		all = append(all, x)
	}
	return all
}

// settings leaves out the conditions that are at zero.
func settings(r *result.Result) table {
	t := table{Title: "Settings", Classes: []string{""}}
	add := func(name, value string) {
		if value != "" && value != "0" && value != "false" {
			t.Rows = append(t.Rows, []string{name, value})
		}
	}
	for _, c := range conditions(r) {
		add(c.Name, c.Value)
	}
	add("through", r.Proxy)
	for _, x := range r.NotMeasured {
		figure, why, _ := strings.Cut(x, ": ")
		add("not measured: "+figure, why)
	}
	if v := r.Server; v != nil {
		add("server process", fmt.Sprintf("%s, %d", v.Name, v.PID))
	}
	add("run", r.Run)
	add("Go", r.Host.Go)
	return t
}
