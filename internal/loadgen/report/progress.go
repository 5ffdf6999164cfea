package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/units"
)

// Progress shows a run while it goes on: on a terminal as a panel, a few lines
// that are redrawn in place, elsewhere as a line for each sample. It is used by
// one goroutine at a time.
type Progress struct {
	// Immutable
	out    io.Writer
	config plan.Config
	title  string
	width  func() int // columns of the terminal, asked at each drawing; nil: no terminal
	colour bool

	// Owned by the run's sampler
	drawn int // lines that stand on the terminal
	phase result.Phase
	began float64 // of the phase, in seconds of the run
}

// NewProgress returns a printer of plain lines, or with a width one for a terminal.
func NewProgress(out io.Writer, scenario string, c plan.Config, colour bool, width func() int) *Progress {
	return &Progress{out: out, config: c, title: scenario, colour: colour, width: width}
}

// Show prints a sample.
func (p *Progress) Show(s result.Sample) {
	// A terminal that is gone is no reason to end the run.
	if p.width == nil {
		fmt.Fprintf(p.out, "%5.0fs %-8s %s\n", s.Seconds, s.Phase, p.plain(s))
		return
	}
	_, _ = io.WriteString(p.out, p.panel(s))
}

// Done leaves the last state on the terminal.
func (p *Progress) Done() { p.drawn = 0 }

// plain joins the parts to one line; those of one word say it.
func (p *Progress) plain(s result.Sample) string {
	var all []string
	for _, part := range p.parts(s) {
		switch part.name {
		case "messages", "latency":
			all = append(all, part.text)
		default:
			all = append(all, part.name+" "+part.text)
		}
	}
	return strings.Join(all, "  ")
}

const (
	red       = "\x1b[31m"
	bold      = "\x1b[1m"
	plain     = "\x1b[0m"
	eraseLine = "\r\x1b[2K"
	eraseDown = "\x1b[J"
)

// panel goes back over the lines that stand and draws them anew.
func (p *Progress) panel(s result.Sample) string {
	head := fmt.Sprintf("loadgen %s  %s  %s  %v", p.title, p.config.URL, s.Phase, clock(s.Seconds))
	if left, known := p.left(s); known {
		head += fmt.Sprintf(", about %v to go", clock(left))
	}
	lines := []part{{text: head, colour: bold}}
	for _, x := range p.parts(s) {
		lines = append(lines, part{text: fmt.Sprintf("%-9s %s", x.name, x.text), colour: x.colour})
	}
	lines = append(lines, reasonLines(s.Reasons)...)

	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	p.drawn = len(lines)
	width := max(p.width(), 20) - 1 // a line that wraps would be two to go back over
	for _, l := range lines {
		text := []rune(l.text)
		text = text[:min(len(text), width)]
		if p.colour && l.colour != "" {
			fmt.Fprintf(&b, "%s%s%s%s\n", eraseLine, l.colour, string(text), plain)
		} else {
			fmt.Fprintf(&b, "%s%s\n", eraseLine, string(text))
		}
	}
	return b.String() + eraseDown
}

// part is one thing to say of a run.
type part struct{ name, text, colour string }

// busyLoop is from where on the figures say more about loadgen than about the
// server.
const busyLoop = 0.9

func (p *Progress) parts(s result.Sample) []part {
	clients := part{name: "clients", text: fmt.Sprintf("%d/%d", s.Open, p.config.Connections)}
	if s.Phase == result.PhaseConnect {
		clients.text += fmt.Sprintf(" (%.0f/s)", s.ReadyPS)
	}
	for _, x := range []struct {
		name   string
		n      uint64
		colour string
	}{{"failed", s.Failed, red}, {"lost", s.Lost, red}, {"away", s.Away, ""}} {
		if x.n > 0 {
			clients.text += fmt.Sprintf(" %s %d", x.name, x.n)
			clients.colour = cmp.Or(clients.colour, x.colour)
		}
	}
	all := []part{clients}
	if s.Published > 0 {
		all = append(all, part{name: "messages", text: fmt.Sprintf("published %d  delivered %d/%d (%.0f/s)", s.Published, s.Delivered, s.Expected, s.DeliveredPS)})
	}
	if s.Due.Count > 0 {
		all = append(all, part{name: "latency", text: fmt.Sprintf("p50 %s p99 %s max %s", duration(s.Due.P50), duration(s.Due.P99), duration(s.Due.Max))})
	}
	if s.Server != nil {
		server := part{name: "server", text: fmt.Sprintf("%s %.0f %% CPU", units.Bytes(float64(s.Server.RSS)), s.ServerCPU*100)}
		if p.width != nil && s.Open > 0 {
			server.text += fmt.Sprintf(", %s a client", units.Bytes(s.RSSPerConnection))
		}
		all = append(all, server)
	}
	self := part{name: "self", text: fmt.Sprintf("%.0f %%", s.SelfCPU*100)}
	if p.width != nil {
		self.text += fmt.Sprintf(" CPU, busiest loop %.0f %%", s.LoopBusy*100)
		if s.LoopBusy > busyLoop {
			self.colour = red
		}
	}
	return append(all, self)
}

// mostReasons is how many lines errors may take.
const mostReasons = 4

func reasonLines(reasons account.Tally) []part {
	var lines []part
	for i, why := range account.ByCount(reasons) {
		text := fmt.Sprintf("errors    %d  %s", reasons[why], why)
		if others := len(reasons) - i; i == mostReasons-1 && others > 1 {
			return append(lines, part{text: fmt.Sprintf("errors    and %d other reasons", others), colour: red})
		}
		lines = append(lines, part{text: text, colour: red})
	}
	return lines
}

func duration(ns int64) string { return units.Duration(time.Duration(ns)) }

func clock(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}

// left estimates the seconds that are left of the phase; false where unknown.
func (p *Progress) left(s result.Sample) (seconds float64, known bool) {
	if s.Phase != p.phase {
		p.phase, p.began = s.Phase, s.Seconds
	}
	c := p.config
	switch {
	case s.PhaseEnds > 0:
		return max(s.PhaseEnds-s.Seconds, 0), true
	case c.Stages != "":
		return 0, false // a ramp's target is not in the sample
	case s.Phase == result.PhaseConnect && s.ReadyPS > 0:
		return max(float64(c.Connections)-float64(s.Settled), 0) / s.ReadyPS, true
	case s.Phase == result.PhasePublish && p.title == "fanout" && s.Published > 0:
		// In turn: as fast as it was up to now.
		rate := float64(s.Published) / max(s.Seconds-p.began, 1)
		return max(float64(c.Messages)-float64(s.Published), 0) / rate, true
	}
	return 0, false
}
