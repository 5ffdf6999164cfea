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
	name    string
	unit    string
	bare    func(*figures) float64
	gateway func(*figures) float64
	write   bool // the gateway's figure is that without io_uring
	ring    bool // there is one only where io_uring was used
	// budget is for the ratio, or for the gateway's figure itself where
	// absolute is set; 0 means none.
	budget   float64
	absolute bool
}

func handshake(f *figures) float64 { return f.handshake }
func delivery(f *figures) float64  { return f.delivery }
func fullRate(f *figures) float64  { return f.fullRate }
func last(f *figures) float64      { return f.last }
func ping(f *figures) float64      { return f.ping }
func growth(f *figures) float64    { return f.growth }

// lines are the table. The budget of the ping cycle is 20 us where a bare write
// takes 8: it is a ratio to the bare loop's delivery.
var lines = []line{
	{name: "handshake", unit: "us", bare: handshake, gateway: handshake, budget: 1.5},
	{name: "delivery by write(2)", unit: "us", bare: delivery, gateway: delivery, write: true, budget: 1.1},
	{name: "delivery by io_uring", unit: "us", bare: delivery, gateway: delivery, ring: true, budget: 0.65},
	{name: "delivery at full rate", unit: "us", bare: fullRate, gateway: fullRate},
	{name: "until the last client has it", unit: "ms", bare: last, gateway: last},
	{name: "ping cycle", unit: "us", bare: ping, gateway: ping},
	{name: "ping cycle to bare delivery", unit: "us", bare: delivery, gateway: ping, budget: 2.5},
	{name: "RSS growth per connection", unit: "B", bare: growth, gateway: growth, budget: 600, absolute: true},
}

// printTable prints the medians of the rounds and returns the names of the
// lines that are over budget.
func printTable(out io.Writer, rounds []round) (over []string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tunit\tbare\tgateway\tratio\t[min..max]\tbudget\t\t")
	for _, l := range lines {
		if l.ring && !rounds[0].gateway.batched {
			fmt.Fprintf(w, "%s\t\t\t\tnot available here\t\t\t\t\n", l.name)
			continue
		}
		var bare, gateway, ratios rig.Values
		for i := range rounds {
			from := &rounds[i].gateway
			if l.write {
				from = &rounds[i].write
			}
			b, g := l.bare(&rounds[i].bare), l.gateway(from)
			bare, gateway, ratios = append(bare, b), append(gateway, g), append(ratios, g/b)
		}
		ratio := fmt.Sprintf("%.2f\t[%.2f..%.2f]", ratios.Mid(), slices.Min(ratios), slices.Max(ratios))
		value, budget, verdict := ratios.Mid(), fmt.Sprintf("%.2f x", l.budget), "ok"
		if l.absolute {
			// A ratio to nearly nothing says nothing: the range is the
			// gateway's own.
			ratio = fmt.Sprintf("\t[%.0f..%.0f]", slices.Min(gateway), slices.Max(gateway))
			value, budget = gateway.Mid(), fmt.Sprintf("%.0f %s", l.budget, l.unit)
		}
		switch {
		case l.budget == 0:
			budget, verdict = "", ""
		case !(value <= l.budget): // not a number is not within it
			verdict = "over"
			over = append(over, l.name)
		}
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%s\t%s\t%s\t\n", l.name, l.unit, bare.Mid(), gateway.Mid(), ratio, budget, verdict)
	}
	w.Flush()
	return over
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
