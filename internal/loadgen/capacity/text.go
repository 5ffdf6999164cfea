package capacity

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pushgate/pushgate/internal/units"
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
	fmt.Fprintf(&b, "loadgen capacity  %s, over %s\n%s  Linux %s, %d CPUs, %s, %s\n", o.Server, o.Over(),
		o.Started, o.Host.Kernel, o.Host.CPUs, units.Bytes(float64(o.Host.Memory)), o.Host.Go)
	for _, t := range o.Measured() {
		t.write(&b, tabwriter.AlignRight)
	}
	o.Costs().write(&b, 0)
	if v := o.Verified; v != nil {
		fmt.Fprintf(&b, "\nPREDICTION CHECKED\n%d connections, from steps up to %d: RSS predicted %s, measured %s: %+.1f %%\n",
			v.Connections, v.Largest, units.Bytes(v.Predicted), units.Bytes(v.Measured), v.Percent)
	}
	if o.Bill != nil {
		o.Bill.Table().write(&b, 0)
		o.Bill.writeLimits(&b)
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

// Table is a part of the outcome for people, on a terminal or on a page.
type Table struct {
	Title string
	About string // behind the title; empty: nothing
	Head  []string
	Rows  [][]string
	After string // a line below the rows; empty: none
}

func (t Table) write(b *strings.Builder, flags uint) {
	fmt.Fprintf(b, "\n%s", strings.ToUpper(t.Title))
	if t.About != "" {
		fmt.Fprintf(b, " (%s)", t.About)
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', flags)
	if t.Head != nil {
		fmt.Fprintln(w, strings.Join(t.Head, "\t"))
	}
	for _, row := range t.Rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	if t.After != "" {
		fmt.Fprintln(b, t.After)
	}
}

// Measured returns the steps: of connections, and of deliveries where there
// were any. Their last column says why a step was not good.
func (o *Outcome) Measured() []Table {
	connections := Table{Title: "Connections, measured", After: o.ConnectionsBreak.text("connections"),
		Head: []string{"clients", "RSS", "kernel, both ends", "CPU idle", "pings/s", "CPU a handshake", ""}}
	for _, s := range o.Connections {
		kernel := "-"
		if s.Kernel != nil {
			kernel = units.Bytes(*s.Kernel)
		}
		connections.Rows = append(connections.Rows, []string{fmt.Sprint(s.Connections), units.Bytes(s.RSS), kernel,
			fmt.Sprintf("%.1f %%", s.IdleCPUs*100), fmt.Sprintf("%.0f", s.Pings), fmt.Sprintf("%.1f us", s.Handshake), s.remark()})
	}
	if len(o.Deliveries) == 0 {
		return []Table{connections}
	}
	deliveries := Table{Title: "Deliveries, measured", About: fmt.Sprintf("%d clients", o.Deliveries[0].Connections),
		Head: []string{"messages/s", "deliveries/s", "p50", "p99", "max", "CPU", ""}, After: o.DeliveriesBreak.text("messages a second")}
	duration := func(ns int64) string { return units.Duration(time.Duration(ns)) }
	for _, s := range o.Deliveries {
		deliveries.Rows = append(deliveries.Rows, []string{fmt.Sprintf("%.0f", s.Rate), fmt.Sprintf("%.0f", s.Delivered),
			duration(s.Latency.P50), duration(s.Latency.P99), duration(s.Latency.Max), fmt.Sprintf("%.0f %%", s.CPUs*100), s.remark()})
	}
	return []Table{connections, deliveries}
}

// remark stands behind columns that are aligned to the right: without the space
// it would touch the last one.
func (s Step) remark() string {
	if why := s.Why(); why != "" {
		return "  " + why
	}
	return ""
}

// Costs returns the lines through the steps.
func (o *Outcome) Costs() Table {
	each := func(v float64) string { return fmt.Sprintf("%.1f B", v) }
	micro := func(v float64) string { return fmt.Sprintf("%.2f us", v*1e6) }
	cpus := func(v float64) string { return fmt.Sprintf("%.1f %% CPU", v*100) }
	t := Table{Title: "Costs, fitted", Head: []string{"", "each", "+-", "base", "R2", "largest residual", "points"}}
	for _, x := range []struct {
		name        string
		fit         *Fit
		each, whole func(float64) string
	}{
		{"connection, the gateway's memory", o.Fits.RSS, each, units.Bytes},
		{"connection, the kernel's, both ends", o.Fits.Kernel, each, units.Bytes},
		{"heartbeat cycle, CPU", o.Fits.Heartbeat, micro, cpus},
		{"delivery, CPU", o.Fits.Delivery, micro, cpus},
	} {
		row := []string{x.name, "not measured"}
		if f := x.fit; f != nil {
			row = []string{x.name, x.each(f.Slope), x.each(2 * f.SlopeError), x.whole(f.Base), fmt.Sprintf("%.4f", f.R2),
				x.whole(f.Largest), fmt.Sprint(len(f.Points))}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Table returns the lines of the bill: name, value, scatter, basis and derivation.
func (b *Bill) Table() Table {
	t := Table{Title: fmt.Sprintf("The bill for %d connections", b.Target),
		About: fmt.Sprintf("heartbeat %s, a message of %d B to each client every %s", shorten(b.Heartbeat), b.Size, shorten(b.Every))}
	for _, i := range b.Items {
		margin, basis := "", string(i.Basis)
		if i.Margin != 0 {
			margin = "+-" + inUnit(i.Unit, i.Margin)
		}
		if i.Basis == Extrapolated {
			basis = fmt.Sprintf("extrapolated x %.3g", i.Factor)
		}
		t.Rows = append(t.Rows, []string{i.Name, inUnit(i.Unit, i.Value), margin, basis, i.How})
	}
	return t
}

func inUnit(unit string, v float64) string {
	switch {
	case unit == "bytes":
		return units.Bytes(v)
	case unit == "CPUs" && v < 0.1:
		return fmt.Sprintf("%.3f CPUs", v)
	case unit == "CPUs":
		return fmt.Sprintf("%.2f CPUs", v)
	case unit == "bit/s" && v >= 1e9:
		return fmt.Sprintf("%.1f Gbit/s", v/1e9)
	case unit == "bit/s":
		return fmt.Sprintf("%.1f Mbit/s", v/1e6)
	}
	return fmt.Sprintf("%.0f", v)
}

// shorten writes 1m0s as 1m and 1h0m0s as 1h.
func shorten(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (b *Bill) writeLimits(w *strings.Builder) {
	if len(b.Limits) == 0 {
		fmt.Fprintf(w, "\nNo limit of this host is hit before %d connections.\n", b.Target)
		return
	}
	first, whose := b.Limits[0], " OF THIS HOST"
	if first.Measured {
		whose = ""
	}
	fmt.Fprintf(w, "\nTHE FIRST LIMIT%s: %s, at %d connections\n  %s\n  %s\n", whose, first.Name, first.Carries, first.Why, first.Fix)
	if len(b.Limits) > 1 {
		fmt.Fprintf(w, "then\n")
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, x := range b.Limits[1:] {
			fmt.Fprintf(t, "  %s\tat %d\t%s\n", x.Name, x.Carries, x.Fix)
		}
		t.Flush()
	}
}
