package main

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/pushgate/pushgate/bench/chart"
)

// writeCharts draws the results with so many connections.
func writeCharts(docs string, all []*result, connections int) error {
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
				b.Values = append(b.Values, rounded(median(c.values(r, s))))
			}
		}
		if err := bars.Write(filepath.Join(docs, "benchmarks")); err != nil {
			return err
		}
	}
	return nil
}

// rounded leaves the digits that a chart has room for.
func rounded(v float64) float64 {
	if v < 100 {
		return math.Round(v*10) / 10
	}
	return math.Round(v)
}
