package capacity

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// WriteJSON writes the outcome for programs.
func (o *Outcome) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // commands hold && and |
	if err := e.Encode(o); err != nil {
		return fmt.Errorf("write the outcome: %w", err)
	}
	return nil
}

// WriteText writes the outcome for people.
func (o *Outcome) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "loadgen capacity  %s, over %s\n%s  Linux %s, %d CPUs, %s, %s\n", o.Server, o.Transport,
		o.Started, o.Host.Kernel, o.Host.CPUs, bytesText(float64(o.Host.Memory)), o.Host.Go)
	o.writeSteps(&b)
	o.writeFits(&b)
	if v := o.Verified; v != nil {
		fmt.Fprintf(&b, "\nPREDICTION CHECKED\n%d connections, from steps up to %d: RSS predicted %s, measured %s: %+.1f %%\n",
			v.Connections, v.Largest, bytesText(v.Predicted), bytesText(v.Measured), v.Percent)
	}
	if o.Bill != nil {
		o.Bill.write(&b)
	}
	for _, x := range o.Warnings {
		fmt.Fprintf(&b, "\nWARNING: %s\n", x)
	}
	b.WriteString("\n" + o.Word() + "\n")
	for _, x := range o.Failed {
		fmt.Fprintf(&b, "  %s\n", x)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Word is the outcome in a word.
func (o *Outcome) Word() string {
	switch {
	case o.Interrupted:
		return "INTERRUPTED"
	case len(o.Failed) > 0:
		return "FAILED"
	}
	return "OK"
}

func bytesText(v float64) string {
	switch {
	case v < 0:
		return "-" + bytesText(-v)
	case v >= 1<<30:
		return fmt.Sprintf("%.2f GiB", v/(1<<30))
	}
	return loadgen.FormatFigure(loadgen.UnitBytes, v)
}

func (o *Outcome) writeSteps(b *strings.Builder) {
	fmt.Fprintf(b, "\nCONNECTIONS, MEASURED\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "clients\tRSS\tkernel, both ends\tCPU idle\tpings/s\tCPU a handshake\t\n")
	for _, s := range o.Connections {
		kernel := "-"
		if s.Kernel != nil {
			kernel = bytesText(*s.Kernel)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%.1f %%\t%.0f\t%.1f us\t%s\n", s.Connections, bytesText(s.RSS), kernel, s.IdleCPUs*100, s.Pings, s.Handshake, s.remark())
	}
	t.Flush()
	writeBreak(b, o.ConnectionsBreak, "connections")
	if len(o.Deliveries) == 0 {
		return
	}
	fmt.Fprintf(b, "\nDELIVERIES, MEASURED (%d clients)\n", o.Deliveries[0].Connections)
	t = tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "messages/s\tdeliveries/s\tp50\tp99\tmax\tCPU\t\n")
	for _, s := range o.Deliveries {
		text := func(ns int64) string { return loadgen.FormatFigure(loadgen.UnitDuration, float64(ns)) }
		fmt.Fprintf(t, "%.0f\t%.0f\t%s\t%s\t%s\t%.0f %%\t%s\n", s.Rate, s.Delivered, text(s.Latency.P50), text(s.Latency.P99), text(s.Latency.Max), s.CPUs*100, s.remark())
	}
	t.Flush()
	writeBreak(b, o.DeliveriesBreak, "messages a second")
}

// remark stands behind the columns, which are aligned to the right: without
// the space it would touch the last one.
func (s Step) remark() string {
	if why := s.Why(); why != "" {
		return "  " + why
	}
	return ""
}

func writeBreak(b *strings.Builder, x *Break, what string) {
	if x != nil {
		fmt.Fprintln(b, x.Text(what))
	}
}

func (o *Outcome) writeFits(b *strings.Builder) {
	fmt.Fprintf(b, "\nCOSTS, FITTED\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\teach\t+-\tbase\tR2\tlargest residual\tpoints\n")
	for _, x := range o.costs() {
		if x.fit == nil {
			fmt.Fprintf(t, "%s\tnot measured\n", x.name)
			continue
		}
		f := x.fit
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.4f\t%s\t%d\n", x.name, x.each(f.Slope), x.each(2*f.SlopeError), x.whole(f.Base), f.R2, x.whole(f.Largest), len(f.Points))
	}
	t.Flush()
}

// cost is a fit with how its figures are written.
type cost struct {
	name        string
	fit         *Fit
	each, whole func(float64) string
}

func (o *Outcome) costs() []cost {
	each := func(v float64) string { return fmt.Sprintf("%.1f B", v) }
	micro := func(v float64) string { return fmt.Sprintf("%.2f us", v*1e6) }
	cpus := func(v float64) string { return fmt.Sprintf("%.1f %% CPU", v*100) }
	return []cost{
		{"connection, the gateway's memory", o.Fits.RSS, each, bytesText},
		{"connection, the kernel's, both ends", o.Fits.Kernel, each, bytesText},
		{"heartbeat cycle, CPU", o.Fits.Heartbeat, micro, cpus},
		{"delivery, CPU", o.Fits.Delivery, micro, cpus},
	}
}

// ValueText writes an item's value in its unit.
func (i Item) ValueText() string { return valueText(i.Unit, i.Value) }

// BasisText says where the value comes from, with the factor.
func (i Item) BasisText() string {
	if i.Basis == Extrapolated {
		return fmt.Sprintf("extrapolated x %.3g", i.Factor)
	}
	return string(i.Basis)
}

// MarginText is empty where there is no margin.
func (i Item) MarginText() string {
	if i.Margin == 0 {
		return ""
	}
	return "+-" + valueText(i.Unit, i.Margin)
}

func valueText(unit string, v float64) string {
	switch unit {
	case "bytes":
		return bytesText(v)
	case "CPUs":
		if v < 0.1 {
			return fmt.Sprintf("%.3f CPUs", v)
		}
		return fmt.Sprintf("%.2f CPUs", v)
	case "bit/s":
		if v >= 1e9 {
			return fmt.Sprintf("%.1f Gbit/s", v/1e9)
		}
		return fmt.Sprintf("%.1f Mbit/s", v/1e6)
	}
	return fmt.Sprintf("%.0f", v)
}

// HeartbeatText and EveryText write the bill's load without idle zeros.
func (l *Bill) HeartbeatText() string { return plainDuration(l.Heartbeat) }
func (l *Bill) EveryText() string     { return plainDuration(l.Every) }

// plainDuration writes 1m0s as 1m.
func plainDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (l *Bill) write(b *strings.Builder) {
	fmt.Fprintf(b, "\nTHE BILL FOR %d CONNECTIONS (heartbeat %s, a message of %d B to each client every %s)\n", l.Target, l.HeartbeatText(), l.Size, l.EveryText())
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, i := range l.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", i.Name, i.ValueText(), i.MarginText(), i.BasisText(), i.How)
	}
	t.Flush()
	if len(l.Limits) == 0 {
		fmt.Fprintf(b, "\nNo limit of this host is hit before %d connections.\n", l.Target)
		return
	}
	first, whose := l.Limits[0], " OF THIS HOST"
	if first.Measured {
		whose = ""
	}
	fmt.Fprintf(b, "\nTHE FIRST LIMIT%s: %s, at %d connections\n  %s\n  %s\n", whose, first.Name, first.Carries, first.Why, first.Fix)
	if len(l.Limits) > 1 {
		fmt.Fprintf(b, "then\n")
		t = tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		for _, x := range l.Limits[1:] {
			fmt.Fprintf(t, "  %s\tat %d\t%s\n", x.Name, x.Carries, x.Fix)
		}
		t.Flush()
	}
}
