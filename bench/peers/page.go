package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/bench/chart"
)

//go:embed page.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"comma": func(n int) string { return chart.Grouped(float64(n)) },
	"mib":   func(bytes int64) string { return chart.Grouped(float64(bytes >> 20)) },
	"title": func(t transport) string {
		return map[transport]string{websocketTransport: "WebSocket", eventsTransport: "Server-Sent Events"}[t]
	},
}).Parse(pageText))

// page is what the template is filled with.
type page struct {
	First    *result // its machine, versions and settings stand for all
	Dates    string
	Rounds   int
	Results  []*result
	Chart    *result  // the largest
	Missing  []string // servers that were not on the machine
	Failures []string
}

// renderPage writes BENCHMARKS.md and its charts from the results that are kept
// in the folder.
func renderPage(docs string) error {
	all, err := keptResults(docs)
	if err != nil {
		return err
	}
	p := page{First: all[0], Dates: dates(all), Results: all, Chart: all[0]}
	for _, r := range all {
		if r.Connections > p.Chart.Connections {
			p.Chart = r
		}
		for _, s := range r.Servers {
			p.Rounds = max(p.Rounds, len(s.Rounds))
		}
		p.Failures = append(p.Failures, r.failures()...)
	}
	for _, s := range servers {
		if !slices.ContainsFunc(p.Chart.Servers, func(m measured) bool { return m.Name == s.name }) {
			p.Missing = append(p.Missing, s.name)
		}
	}
	if err := writeCharts(docs, all, p.Chart.Connections); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, p); err != nil {
		return err
	}
	return chart.WritePage(filepath.Join(docs, "BENCHMARKS.md"), text.Bytes())
}

func dates(all []*result) string {
	first, last := all[0].Date, all[0].Date
	for _, r := range all {
		first, last = min(first, r.Date), max(last, r.Date)
	}
	if first == last {
		return first
	}
	return first + " to " + last
}

// Table is the result as a table, a row for each server.
func (r *result) Table() string {
	var b strings.Builder
	b.WriteString("| |")
	for _, m := range metrics {
		fmt.Fprintf(&b, " %s, %s |", m.name, m.unit)
	}
	b.WriteString(" p99 | max | lost, doubled |\n|---|" + strings.Repeat("---:|", len(metrics)+3) + "\n")
	for i := range r.Servers {
		s := &r.Servers[i]
		fmt.Fprintf(&b, "| %s |", s.Name)
		for _, m := range metrics {
			fmt.Fprintf(&b, " %s |", m.cell(r, s))
		}
		lasts, lost, doubled := s.lasts(), 0, 0
		for _, f := range s.Rounds {
			lost += f.Counts.Lost
			doubled += f.Counts.Doubled
		}
		fmt.Fprintf(&b, " %s | %s | %d, %d |\n", number3(1e3*quantile(lasts, 0.99)), number3(1e3*quantile(lasts, 1)), lost, doubled)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Ahead says in what others are better than the gateway.
func (r *result) Ahead() string {
	var others []string
	for _, m := range metrics {
		if best := m.best(r); best != nil && best.Name != servers[0].name {
			others = append(others, fmt.Sprintf("%s (%s)", m.name, best.Name))
		}
	}
	if len(others) == 0 {
		return "The gateway is ahead in every column."
	}
	return "Others are ahead of the gateway in: " + strings.Join(others, ", ") + "."
}

// Pings are the heartbeats that came in an interval, by server.
func (r *result) Pings() string {
	return r.each(func(f *figures) float64 { return float64(f.Pings) }, func(v float64) string { return chart.Grouped(v) })
}

// Before is the memory without clients in MiB, by server.
func (r *result) Before() string {
	return r.each(func(f *figures) float64 { return float64(f.Before) / (1 << 20) }, number3)
}

// Redis is the CPU time of redis-server for each message, in us.
func (r *result) Redis() string {
	var each []float64
	for i := range r.Servers {
		if s := &r.Servers[i]; s.Name == servers[0].name {
			each = roundsOf(s, func(f *figures) float64 { return 1e6 * f.RedisCPU / float64(len(f.Last)) })
		}
	}
	return number3(median(each))
}

// each writes the median of a figure for each server.
func (r *result) each(of func(*figures) float64, text func(float64) string) string {
	var all []string
	for i := range r.Servers {
		all = append(all, r.Servers[i].Name+" "+text(median(roundsOf(&r.Servers[i], of))))
	}
	return strings.Join(all, ", ")
}

// failures say which rounds have not come to their end, and which connections
// were lost.
func (r *result) failures() []string {
	var all []string
	for _, s := range r.Servers {
		for i, f := range s.Rounds {
			where := fmt.Sprintf("%s, %s, %d connections, round %d: ", s.Name, r.Transport, r.Connections, i+1)
			if f.Failed != "" {
				all = append(all, where+strings.Join(strings.Fields(f.Failed), " "))
			}
			if f.Counts.Broken > 0 {
				all = append(all, fmt.Sprintf("%s%d connections ended by the server, such as %s", where, f.Counts.Broken, f.Counts.Why))
			}
		}
	}
	return all
}
