package loadgen

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress prints a run's samples: one line that is rewritten on a terminal,
// one line each otherwise.
type Progress struct {
	out      io.Writer
	terminal bool
	target   int
	width    int // of the line that stands on the terminal
}

// NewProgress returns a printer for a run with a number of clients.
func NewProgress(out io.Writer, terminal bool, clients int) *Progress {
	return &Progress{out: out, terminal: terminal, target: clients}
}

// Show prints one sample.
func (p *Progress) Show(s Sample) {
	line := p.line(s)
	if !p.terminal {
		fmt.Fprintln(p.out, line)
		return
	}
	pad := max(p.width-len(line), 0)
	p.width = len(line)
	fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", pad))
}

// Done ends the line on a terminal.
func (p *Progress) Done() {
	if p.terminal && p.width > 0 {
		fmt.Fprintln(p.out)
		p.width = 0
	}
}

func (p *Progress) line(s Sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5.0fs %-8s clients %d/%d", s.Seconds, s.Phase, s.Open, p.target)
	if s.Phase == PhaseConnect {
		fmt.Fprintf(&b, " (%.0f/s)", s.ReadyPS)
	}
	if s.Failed > 0 {
		fmt.Fprintf(&b, " failed %d", s.Failed)
	}
	if s.Lost > 0 {
		fmt.Fprintf(&b, " lost %d", s.Lost)
	}
	if s.Away > 0 {
		fmt.Fprintf(&b, " away %d", s.Away)
	}
	if s.Published > 0 {
		fmt.Fprintf(&b, "  published %d  delivered %d/%d (%.0f/s)", s.Published, s.Delivered, s.Expected, s.DeliveredPS)
	}
	if s.Due.Count > 0 {
		fmt.Fprintf(&b, "  p50 %s p99 %s max %s", short(s.Due.P50), short(s.Due.P99), short(s.Due.Max))
	}
	if s.Server != nil {
		fmt.Fprintf(&b, "  server %s %.0f %% CPU", size(float64(s.Server.RSS)), s.ServerCPU*100)
	}
	fmt.Fprintf(&b, "  self %.0f %%", s.SelfCPU*100)
	return b.String()
}

// short writes a duration with three digits.
func short(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1f us", float64(d)/1e3)
	}
	return fmt.Sprintf("%.0f us", float64(d)/1e3)
}

// size writes a number of bytes.
func size(bytes float64) string {
	switch {
	case bytes >= 10<<30:
		return fmt.Sprintf("%.1f GiB", bytes/(1<<30))
	case bytes >= 10<<20:
		return fmt.Sprintf("%.1f MiB", bytes/(1<<20))
	case bytes >= 10<<10:
		return fmt.Sprintf("%.1f KiB", bytes/(1<<10))
	}
	return fmt.Sprintf("%.0f B", bytes)
}
