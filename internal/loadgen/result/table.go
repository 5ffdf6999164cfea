package result

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/probe"
	"github.com/pushgate/pushgate/internal/units"
)

// WriteJSON writes the result for programs.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// tableText is the table of a result. Its own line ends count for nothing: the
// functions below write whole lines.
//
//go:embed table.tmpl
var tableText string

var tableTemplate = template.Must(template.New("table").Funcs(template.FuncMap{
	"title":    func(text string) string { return "\n" + text + "\n" },
	"row":      row,
	"rowif":    rowIf,
	"tally":    tally,
	"latency":  latencyRow,
	"measured": measured,
	"each":     each,
	"stages":   stages,
	"choose": func(condition, yes, no any) any {
		if truth, _ := template.IsTrue(condition); truth {
			return yes
		}
		return no
	},
	"size": func(bytes uint64) string { return units.Bytes(float64(bytes)) },
	"rss": func(p probe.ProcessSample) string {
		if p.RSS == 0 {
			return "not read"
		}
		return units.Bytes(float64(p.RSS))
	},
	"ratio": func(a, b uint64, factor float64) float64 { return float64(a) / max(float64(b), 1) * factor },
	"latencies": func() string {
		return fmt.Sprintf("  %-28s %10s %10s %10s %10s %10s %10s\n", "", "p50", "p90", "p99", "p99.9", "max", "mean")
	},
	"back": func(share string, seconds float64) string {
		if seconds < 0 {
			return row(share+" back", "never")
		}
		return row(share+" back", "after %.2f s", seconds)
	},
	"unmeasured": func(line string) string {
		figures, why, _ := strings.Cut(line, ": ")
		return row(figures, "%s", why)
	},
}).Parse(strings.ReplaceAll(tableText, "\n", "")))

func row(name, format string, args ...any) string {
	return fmt.Sprintf("  %-28s %s\n", name, fmt.Sprintf(format, args...))
}

func rowIf(condition any, name, format string, args ...any) string {
	if truth, _ := template.IsTrue(condition); truth {
		return row(name, format, args...)
	}
	return ""
}

func tally(name string, n account.Tally) string {
	var b strings.Builder
	for _, why := range account.ByCount(n) {
		b.WriteString(row(name, "%d  %s", n[why], why))
		name = ""
	}
	return b.String()
}

func latencyRow(name string, l account.Latency) string {
	if l.Count == 0 {
		return ""
	}
	return fmt.Sprintf("  %-28s %10s %10s %10s %10s %10s %10s\n", name,
		short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max), short(int64(l.Mean)))
}

// measured writes a figure in another unit with a text behind it.
func measured(r *Result, name, figure, format, behind string, factor float64) string {
	f, _ := FindFigure(figure)
	if v, known := f.Of(r); known {
		return row(name, "%s%s", fmt.Sprintf(format, v*factor), behind)
	}
	return row(name, "not measured")
}

// each writes a figure behind others; nothing where it was not measured.
func each(r *Result, figure string) string {
	f, _ := FindFigure(figure)
	if v, known := f.Of(r); known {
		return fmt.Sprintf(": %.0f B per connection", v)
	}
	return ""
}

func stages(steps []Step) string {
	if len(steps) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nstages\n  %-16s %8s %8s %7s %8s %6s %10s %10s %12s %6s\n",
		"", "clients", "seconds", "failed", "rate", "late", "p99", "from due", "server RSS", "CPU")
	for _, x := range steps {
		var rate, late, p99, due, rss, cpu string
		if x.Changed > 0 {
			rate, late = fmt.Sprintf("%.0f/s", x.PerSecond), fmt.Sprint(x.Late)
		}
		if x.Handshake.Count > 0 {
			p99 = short(x.Handshake.P99)
		}
		if x.HandshakeDue.Count > 0 {
			due = short(x.HandshakeDue.P99)
		}
		if f := x.Fanout; f != nil {
			rate, late = fmt.Sprintf("%.0f/s", f.DeliveredPS), fmt.Sprint(f.Late)
			p99, due = short(f.Real.P99), short(f.Due.P99)
		}
		if x.Server != nil {
			rss, cpu = units.Bytes(float64(x.Server.RSS)), fmt.Sprintf("%.0f %%", x.CPU*100)
		}
		fmt.Fprintf(&b, "  %-16s %8d %8.1f %7d %8s %6s %10s %10s %12s %6s\n",
			x.Stage, x.Clients, x.Seconds, x.Failed, rate, late, p99, due, rss, cpu)
	}
	b.WriteString("  rate and p99: of handshakes and closes in a ramp, of deliveries in a hold with messages\n")
	return b.String()
}

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	s := &r.Settings
	from := ""
	if s.Sources > 0 { // none to a unix socket
		from = fmt.Sprintf(" %d source address(es),", s.Sources)
	}
	fmt.Fprintf(&b, "loadgen %s  %d clients over %s to %s,%s channels %s\n", r.Scenario, s.Connections, s.Transport, s.URL, from, s.Channels)
	fmt.Fprintf(&b, "%s  Linux %s, %d CPUs, %s, %s\n", r.Started, r.Host.Kernel, r.Host.CPUs, units.Bytes(float64(r.Host.Memory)), r.Host.Go)
	if err := tableTemplate.Execute(&b, r); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for _, x := range r.Warnings {
		fmt.Fprintf(&b, "\nWARNING: %s\n", x)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Word())
	if r.Aborted != "" {
		fmt.Fprintf(&b, "  ended early: %s\n", r.Aborted)
	}
	for _, x := range r.Failed {
		fmt.Fprintf(&b, "  %s\n", x)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e Effort) String() string {
	return fmt.Sprintf("%.2f s CPU in %.2f s, %.0f %% of its share, busiest loop %.0f %%", e.CPU, e.Seconds, e.Share*100, e.Busy*100)
}

// By names the way of publishing: Redis, --publish-url or --publish-cmd.
func (f *Sent) By() string { return cmp.Or(f.Via, "Redis") }

// PublishTitle names the time that publishing took.
func (f *Sent) PublishTitle() string {
	by := map[string]string{"--publish-url": "by URL", "--publish-cmd": "by command"}[f.By()]
	return "publish " + cmp.Or(by, "to Redis")
}

// Hint is advice on the most frequent reason of failures and losses that has
// some; else empty.
func (r *Result) Hint() string {
	if all := account.Hints(r.Settings.Foreign, r.Failures, r.Retries, r.Losses.Closes()); len(all) > 0 {
		return all[0]
	}
	return ""
}
