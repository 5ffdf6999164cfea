package ratios

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/pushgate/pushgate/bench/rig"
)

// line is one line of the table.
type line struct {
	name string
	unit string
	of   func(r *round) (bare, gateway float64)
	// ring reports whether io_uring was used, nil for a line that needs none.
	ring func(r *round) bool
	// budget is for the ratio, or for the gateway's figure itself where
	// absolute is set; 0 means none.
	budget   float64
	absolute bool
	// difference has the budget be for the difference of both.
	difference bool
}

// lines are the table. The budget of the ping cycle is 20 us where a bare write
// takes 8: it is a ratio to the bare loop's delivery.
var lines = []line{
	{name: "handshake", unit: "us", budget: 1.5,
		of: func(r *round) (bare, gateway float64) { return r.bare.handshake, r.gateway.handshake }},
	{name: "delivery by write(2)", unit: "us", budget: 1.1,
		of: func(r *round) (bare, gateway float64) { return r.bare.delivery, r.write.delivery }},
	{name: "delivery by io_uring", unit: "us", budget: 0.65,
		ring: func(r *round) bool { return r.gateway.byRing() },
		of:   func(r *round) (bare, gateway float64) { return r.bare.delivery, r.gateway.delivery }},
	{name: "delivery at full rate", unit: "us",
		of: func(r *round) (bare, gateway float64) { return r.bare.fullRate, r.gateway.fullRate }},
	{name: "until the last client has it", unit: "ms",
		of: func(r *round) (bare, gateway float64) { return r.bare.last, r.gateway.last }},
	{name: "ping cycle", unit: "us",
		of: func(r *round) (bare, gateway float64) { return r.bare.ping, r.gateway.ping }},
	{name: "ping cycle to bare delivery", unit: "us", budget: 2.5,
		of: func(r *round) (bare, gateway float64) { return r.bare.delivery, r.gateway.ping }},
	{name: "RSS growth per connection", unit: "B", budget: 600, absolute: true,
		of: func(r *round) (bare, gateway float64) { return r.bare.growth, r.gateway.growth }},
}

// secureLines are those of a run over TLS.
var secureLines = []line{
	{name: "handshake", unit: "us",
		of: func(r *round) (clear, secure float64) { return r.write.handshake, r.secureWrite.handshake }},
	{name: "delivery by write(2)", unit: "us", budget: 1.25,
		of: func(r *round) (clear, secure float64) { return r.write.delivery, r.secureWrite.delivery }},
	{name: "delivery by io_uring", unit: "us", budget: 1.8,
		ring: func(r *round) bool { return r.gateway.byRing() && r.secure.byRing() },
		of:   func(r *round) (clear, secure float64) { return r.gateway.delivery, r.secure.delivery }},
	{name: "delivery at full rate", unit: "us",
		of: func(r *round) (clear, secure float64) { return r.gateway.fullRate, r.secure.fullRate }},
	{name: "until the last client has it", unit: "ms",
		of: func(r *round) (clear, secure float64) { return r.gateway.last, r.secure.last }},
	{name: "ping cycle", unit: "us",
		of: func(r *round) (clear, secure float64) { return r.gateway.ping, r.secure.ping }},
	{name: "RSS growth per connection", unit: "B", budget: 160, difference: true,
		of: func(r *round) (clear, secure float64) { return r.gateway.growth, r.secure.growth }},
}

// printTable prints the medians of the rounds.
func printTable(out io.Writer, rounds []round, servers [2]string, lines []line) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tunit\t%s\t%s\tratio\t[min..max]\tbudget\t\t\n", servers[0], servers[1])
	for _, l := range lines {
		if l.ring != nil && slices.ContainsFunc(rounds, func(r round) bool { return !l.ring(&r) }) {
			fmt.Fprintf(w, "%s\t\t\t\tnot available here\t\t\t\t\n", l.name)
			continue
		}
		var bare, gateway, ratios []float64
		for i := range rounds {
			b, g := l.of(&rounds[i])
			bare, gateway, ratios = append(bare, b), append(gateway, g), append(ratios, g/b)
		}
		if l.difference {
			for i := range ratios {
				ratios[i] = gateway[i] - bare[i]
			}
		}
		value, budget, verdict := rig.Median(ratios), fmt.Sprintf("%.2f x", l.budget), "ok"
		ratio := fmt.Sprintf("%.2f\t[%.2f..%.2f]", value, slices.Min(ratios), slices.Max(ratios))
		if l.difference {
			ratio = fmt.Sprintf("%+.0f\t[%+.0f..%+.0f]", value, slices.Min(ratios), slices.Max(ratios))
			budget = fmt.Sprintf("%+.0f %s", l.budget, l.unit)
		}
		if l.absolute {
			// A ratio to nearly nothing says nothing: the range is the
			// gateway's own.
			ratio = fmt.Sprintf("\t[%.0f..%.0f]", slices.Min(gateway), slices.Max(gateway))
			value, budget = rig.Median(gateway), fmt.Sprintf("%.0f %s", l.budget, l.unit)
		}
		switch {
		case l.budget == 0:
			budget, verdict = "", ""
		case !(value <= l.budget): // not a number is not within it
			verdict = "over"
		}
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%s\t%s\t%s\t\n", l.name, l.unit, rig.Median(bare), rig.Median(gateway), ratio, budget, verdict)
	}
	return w.Flush()
}

// printMachine prints the conditions that the figures depend on.
func printMachine(out io.Writer, o options) {
	m, loops := rig.ThisMachine(), "one per CPU"
	if o.loops > 0 {
		loops = fmt.Sprint(o.loops)
	}
	fmt.Fprintf(out, "%d CPUs, Linux %s, %s; event loops of the gateway: %s\n", m.CPUs, m.Kernel, m.Go, loops)
	fmt.Fprintf(out, "%d connections, %d messages of %d B, %d handshakes at a time, %d rounds\n", o.connections, o.messages, o.size, o.inFlight, o.rounds)
}
