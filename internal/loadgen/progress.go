package loadgen

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/units"
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
		fmt.Fprintf(&b, "  server %s %.0f %% CPU", units.Bytes(float64(s.Server.RSS)), s.ServerCPU*100)
	}
	fmt.Fprintf(&b, "  self %.0f %%", s.SelfCPU*100)
	return b.String()
}

// short writes a number of ns.
func short(ns int64) string { return units.Duration(time.Duration(ns)) }
