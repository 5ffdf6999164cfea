package main

import (
	"fmt"
	"slices"

	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// handshakeBudget is how many times the CPU of net/http a connect over TLS may cost the gateway.
const handshakeBudget = 1.15

// secureContents are those of the page's part about TLS.
type secureContents struct {
	dir     string // of the charts
	Results []*result
	Largest *result
	Rounds  int
	Dates   string
	Missing []string // servers that were not on the machine
}

// newSecureContents returns nil where nothing was measured over TLS.
func newSecureContents(dir string, all []*result) *secureContents {
	if len(all) == 0 {
		return nil
	}
	c := &secureContents{dir: dir, Results: all, Largest: largest(all), Rounds: rounds(all), Dates: dates(all)}
	c.Missing = c.Largest.missing()
	return c
}

// Memory draws memory per connection, the server's beside the kernel's.
func (c *secureContents) Memory() (link string, err error) {
	return c.bars("tls-memory.svg", "Bytes per connection over TLS", []string{"server", "kernel"}, memoryEach, kernelEach)
}

// Connect draws the CPU of a connect.
func (c *secureContents) Connect() (link string, err error) {
	return c.bars("tls-connect.svg", "Microseconds of CPU per connect over TLS", []string{"server"}, connectCPU)
}

// Delivery draws the CPU of a delivery.
func (c *secureContents) Delivery() (link string, err error) {
	return c.bars("tls-delivery.svg", "Microseconds of CPU per delivery over TLS", []string{"server"}, deliveryCPU)
}

// bars draws a bar of each metric for each server.
func (c *secureContents) bars(file, title string, series []string, metrics ...metric) (link string, err error) {
	var bars []page.Bar
	for i := range c.Largest.Servers {
		s := &c.Largest.Servers[i]
		b := page.Bar{Name: s.Name}
		for _, m := range metrics {
			b.Values = append(b.Values, rounded(rig.Median(m.values(c.Largest, s))))
		}
		bars = append(bars, b)
	}
	title = fmt.Sprintf("%s, %s connections", title, page.Grouped(float64(c.Largest.Connections)))
	return page.Bars(c.dir, file, title, series, bars)
}

// handshakes are the gateway's CPU of a connect divided by that of net/http, by round.
func (r *result) handshakes() (ratios []float64) {
	own, other := r.server(gatewayName).Rounds, r.server(netHTTPName).Rounds
	for i := range min(len(own), len(other)) {
		if own[i].Failed == "" && other[i].Failed == "" {
			ratios = append(ratios, own[i].ConnectCPU/other[i].ConnectCPU)
		}
	}
	return ratios
}

// Budget compares the gateway's handshake with its budget; empty where a part of that is missing.
func (r *result) Budget() string {
	ratios := r.handshakes()
	if len(ratios) == 0 {
		return ""
	}
	ratio, verdict := rig.Median(ratios), "within"
	if !(ratio <= handshakeBudget) { // not a number is not within it
		verdict = "over"
	}
	return fmt.Sprintf("Budget: a connect costs the gateway at most %.2f times the CPU that it costs net/http. It is %.2f times (%.2f-%.2f): %s the budget.",
		handshakeBudget, ratio, slices.Min(ratios), slices.Max(ratios), verdict)
}

// comparison is a server's cost over TLS beside the gateway's.
type comparison struct {
	Name     string
	Memory   float64 // more than the gateway's for each connection, the kernel's part included, in KB
	Connect  float64 // times the gateway's CPU
	Delivery float64 // times the gateway's CPU
}

// Comparisons are of all servers with figures, where the gateway has them.
func (r *result) Comparisons() (all []comparison) {
	gateway := r.server(gatewayName)
	if len(gateway.whole()) == 0 {
		return nil
	}
	for i := range r.Servers {
		s := &r.Servers[i]
		if s.Name == gatewayName || len(s.whole()) == 0 {
			continue
		}
		times := func(m metric) float64 { return rig.Median(m.values(r, s)) / rig.Median(m.values(r, gateway)) }
		all = append(all, comparison{s.Name, (r.bothMemories(s) - r.bothMemories(gateway)) / 1e3, times(connectCPU), times(deliveryCPU)})
	}
	return all
}

// bothMemories are the memory of a connection in the server and in the kernel, in bytes.
func (r *result) bothMemories(s *measured) float64 {
	return rig.Median(memoryEach.values(r, s)) + rig.Median(kernelEach.values(r, s))
}

// Pause is the time between the last handshake and the reading of memory, in seconds.
func (c *secureContents) Pause() float64 { return c.Largest.Interval * 5 / 2 }
