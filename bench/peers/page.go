package main

import (
	_ "embed"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

//go:embed page.tmpl
var pageText string

var pageFunctions = template.FuncMap{
	"digits": digits,
	"title": func(t transport) string {
		return map[transport]string{websocketTransport: "WebSocket", eventsTransport: "Server-Sent Events", secureTransport: "WebSocket over TLS"}[t]
	},
}

// contents are the page's.
type contents struct {
	dir      string  // of the results and charts
	First    *result // its machine, versions and settings stand for all
	Dates    string
	Rounds   int
	Results  []*result
	Chart    *result  // the largest
	Missing  []string // servers that were not on the machine
	Secure   *secureContents
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
	var inPlain, inTLS []*result
	for _, r := range all {
		if r.Transport == secureTransport {
			inTLS = append(inTLS, r)
		} else {
			inPlain = append(inPlain, r)
		}
	}
	if len(inPlain) == 0 {
		return fmt.Errorf("no result without TLS in %s", dir)
	}
	c := &contents{dir: dir, First: inPlain[0], Dates: dates(inPlain), Results: inPlain, Chart: largest(inPlain), Rounds: rounds(inPlain)}
	c.Secure = newSecureContents(dir, inTLS)
	c.Missing = c.Chart.missing()
	for _, r := range all {
		c.Failures = append(c.Failures, r.failures()...)
	}
	return page.Write(filepath.Join(docs, "BENCHMARKS.md"), pageText, pageFunctions, c)
}

// largest returns the first result with the most connections.
func largest(all []*result) *result {
	most := all[0]
	for _, r := range all {
		if r.Connections > most.Connections {
			most = r
		}
	}
	return most
}

// rounds returns the most that a server was measured in.
func rounds(all []*result) (most int) {
	for _, r := range all {
		for _, s := range r.Servers {
			most = max(most, len(s.Rounds))
		}
	}
	return most
}

// missing names the servers that the result lacks.
func (r *result) missing() (names []string) {
	for _, s := range serversOf(r.Transport, servers) {
		if len(r.server(s.name).Rounds) == 0 {
			names = append(names, s.name)
		}
	}
	return names
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

// Ahead names the metrics in which others are better than the gateway.
func (r *result) Ahead() string {
	var others []string
	for _, m := range r.Metrics() {
		if best := m.best(r); best != nil && best.Name != gatewayName {
			others = append(others, fmt.Sprintf("%s (%s)", m.Name, best.Name))
		}
	}
	if len(others) == 0 {
		return "The gateway is ahead in every column."
	}
	return "Others are ahead of the gateway in: " + strings.Join(others, ", ") + "."
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

// Bars draws a metric of all results with as many connections as the largest.
func (c *contents) Bars(file, title, metricName string) (string, error) {
	m := plainMetrics[slices.IndexFunc(plainMetrics, func(m metric) bool { return m.Name == metricName })]
	var series []string
	var bars []page.Bar
	for _, s := range c.Chart.Servers {
		bars = append(bars, page.Bar{Name: s.Name})
	}
	for _, r := range c.Results {
		if r.Connections != c.Chart.Connections {
			continue
		}
		series = append(series, string(r.Transport))
		for i := range bars {
			bars[i].Values = append(bars[i].Values, rounded(rig.Median(m.values(r, r.server(bars[i].Name)))))
		}
	}
	title = fmt.Sprintf("%s, %s connections", title, page.Grouped(float64(c.Chart.Connections)))
	return page.Bars(c.dir, file, title, series, bars)
}

// rounded leaves the digits that a chart has room for.
func rounded(v float64) float64 {
	if v < 100 {
		return math.Round(v*10) / 10
	}
	return math.Round(v)
}
