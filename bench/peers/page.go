package main

import (
	_ "embed"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/bench/chart"
	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

//go:embed page.tmpl
var pageText string

var pageFunctions = template.FuncMap{
	"title": func(t transport) string {
		return map[transport]string{websocketTransport: "WebSocket", eventsTransport: "Server-Sent Events"}[t]
	},
}

// contents are the page's.
type contents struct {
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
	dir := filepath.Join(docs, "benchmarks")
	all, err := keptResults(dir)
	if err != nil {
		return err
	}
	c := contents{First: all[0], Dates: dates(all), Results: all, Chart: all[0]}
	for _, r := range all {
		if r.Connections > c.Chart.Connections {
			c.Chart = r
		}
		for _, s := range r.Servers {
			c.Rounds = max(c.Rounds, len(s.Rounds))
		}
		c.Failures = append(c.Failures, r.failures()...)
	}
	for _, s := range servers {
		if !slices.ContainsFunc(c.Chart.Servers, func(m measured) bool { return m.Name == s.name }) {
			c.Missing = append(c.Missing, s.name)
		}
	}
	return page.Write(filepath.Join(docs, "BENCHMARKS.md"), pageText, pageFunctions, c, dir, charts(all, c.Chart.Connections)...)
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
		fmt.Fprintf(&b, " %s | %s | %d, %d |\n", number3(1e3*lasts.Quantile(0.99)), number3(1e3*lasts.Quantile(1)), lost, doubled)
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
	var each rig.Values
	for i := range r.Servers {
		if s := &r.Servers[i]; s.Name == servers[0].name {
			each = roundsOf(s, func(f *figures) float64 { return 1e6 * f.RedisCPU / float64(len(f.Last)) })
		}
	}
	return number3(each.Mid())
}

// each writes the median of a figure for each server.
func (r *result) each(of func(*figures) float64, text func(float64) string) string {
	var all []string
	for i := range r.Servers {
		all = append(all, r.Servers[i].Name+" "+text(roundsOf(&r.Servers[i], of).Mid()))
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

// charts draw the results with so many connections.
func charts(all []*result, connections int) (drawn []page.Chart) {
	for _, c := range []struct {
		metric
		file, title string
	}{
		{memoryEach, "memory.svg", "Resident bytes per connection"},
		{deliveryCPU, "delivery.svg", "Microseconds of CPU per delivery"},
		{connectCPU, "connect.svg", "Microseconds of CPU per connect"},
	} {
		bars := chart.Bars{File: c.file, Title: fmt.Sprintf("%s, %s connections", c.title, chart.Grouped(float64(connections)))}
		at := map[string]int{} // server to its bar
		for _, r := range all {
			if r.Connections != connections {
				continue
			}
			series := len(bars.Series)
			bars.Series = append(bars.Series, string(r.Transport))
			for i := range r.Servers {
				s := &r.Servers[i]
				if _, ok := at[s.Name]; !ok {
					at[s.Name] = len(bars.Bars)
					bars.Bars = append(bars.Bars, chart.Bar{Name: s.Name})
				}
				b := &bars.Bars[at[s.Name]]
				for len(b.Values) < series {
					b.Values = append(b.Values, math.NaN())
				}
				b.Values = append(b.Values, rounded(c.values(r, s).Mid()))
			}
		}
		drawn = append(drawn, bars)
	}
	return drawn
}

// rounded leaves the digits that a chart has room for.
func rounded(v float64) float64 {
	if v < 100 {
		return math.Round(v*10) / 10
	}
	return math.Round(v)
}
