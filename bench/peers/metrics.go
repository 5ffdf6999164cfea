package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// metric is a column of the tables.
type metric struct {
	Name string
	Unit string
	of   func(r *result, f *figures) float64
	more bool // the larger, the better
}

// The metrics that a round has a value of.
var (
	connects   = metric{"connects", "/s", func(r *result, f *figures) float64 { return float64(r.Connections) / f.Connect }, true}
	connectCPU = metric{"CPU per connect", "us", func(r *result, f *figures) float64 { return f.ConnectCPU * 1e6 / float64(r.Connections) }, false}
	memoryEach = metric{"memory per connection", "B", func(r *result, f *figures) float64 { return float64(f.With-f.Before) / float64(r.Connections) }, false}
	kernelEach = metric{"kernel memory per connection", "B", func(r *result, f *figures) float64 {
		return float64(f.KernelWith-f.KernelBefore) / float64(r.Connections)
	}, false}
	idleCPU     = metric{"idle CPU", "% of one", func(r *result, f *figures) float64 { return 100 * f.HoldCPU / f.Hold }, false}
	deliveryCPU = metric{"CPU per delivery", "us", func(r *result, f *figures) float64 { return f.DeliverCPU * 1e6 / float64(f.Deliveries) }, false}
	lastHalf    = metric{"last subscriber, p50", "ms", func(r *result, f *figures) float64 { return 1e3 * rig.Median(f.Last) }, false}
)

// In the order of the columns.
var (
	plainMetrics  = []metric{connects, connectCPU, memoryEach, idleCPU, deliveryCPU, lastHalf}
	secureMetrics = []metric{connects, connectCPU, memoryEach, kernelEach, deliveryCPU, lastHalf}
)

// Metrics are the columns of the result's table.
func (r *result) Metrics() []metric {
	if r.Transport == secureTransport {
		return secureMetrics
	}
	return plainMetrics
}

// values are a metric's of all rounds that came to their end.
func (m metric) values(r *result, s *measured) []float64 {
	return s.values(func(f *figures) float64 { return m.of(r, f) })
}

// whole are the rounds that came to their end.
func (s *measured) whole() (all []*figures) {
	for i := range s.Rounds {
		if f := &s.Rounds[i]; f.Failed == "" {
			all = append(all, f)
		}
	}
	return all
}

// values are a figure's of these rounds.
func (s *measured) values(of func(*figures) float64) (all []float64) {
	for _, f := range s.whole() {
		all = append(all, of(f))
	}
	return all
}

// Cell is the median of the rounds and their range.
func (m metric) Cell(r *result, s *measured) string {
	all := m.values(r, s)
	if len(all) == 0 {
		return "-"
	}
	text := digits(rig.Median(all))
	if len(all) > 1 {
		text += fmt.Sprintf(" (%s-%s)", digits(slices.Min(all)), digits(slices.Max(all)))
	}
	return text
}

// best returns the server that is ahead, by the medians.
func (m metric) best(r *result) *measured {
	var best *measured
	most := math.Inf(-1)
	for i := range r.Servers {
		v := rig.Median(m.values(r, &r.Servers[i]))
		if !m.more {
			v = -v
		}
		if v > most { // not a number is not
			best, most = &r.Servers[i], v
		}
	}
	return best
}

// LastMillis is a quantile of the times until the last subscriber, of all
// messages of all rounds that came to their end, in ms.
func (s *measured) LastMillis(share float64) float64 {
	var all []float64
	for _, f := range s.whole() {
		all = append(all, f.Last...)
	}
	if len(all) == 0 {
		return math.NaN()
	}
	slices.Sort(all)
	return 1e3 * all[max(0, int(math.Ceil(share*float64(len(all))))-1)]
}

// Sum is of the faults in all rounds.
func (s *measured) Sum() (sum client.Counts) {
	for _, f := range s.Rounds {
		sum.Lost += f.Counts.Lost
		sum.Doubled += f.Counts.Doubled
	}
	return sum
}

// Before is the memory without clients in MiB.
func (s *measured) Before() float64 {
	return rig.Median(s.values(func(f *figures) float64 { return float64(f.Before) / (1 << 20) }))
}

// Pings are the heartbeats that came in an interval.
func (s *measured) Pings() float64 {
	return rig.Median(s.values(func(f *figures) float64 { return float64(f.Pings) }))
}

// Redis is the CPU time of redis-server for each message, in us; it is the
// gateway's.
func (r *result) Redis() float64 {
	return rig.Median(r.server(gatewayName).values(func(f *figures) float64 { return 1e6 * f.RedisCPU / float64(len(f.Last)) }))
}

// digits writes a number with three digits that count.
func digits(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case size < 10:
		return fmt.Sprintf("%.2f", v)
	case size < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return page.Grouped(math.Round(v))
}
