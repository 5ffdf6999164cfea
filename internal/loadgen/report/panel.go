package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// Panel shows a run on a terminal: a few lines that are drawn anew, in place,
// with every sample. It is used by one goroutine at a time.
type Panel struct {
	// Immutable
	out      io.Writer
	scenario string
	config   loadgen.Config
	colour   bool
	width    func() int // columns of the terminal, asked at each drawing

	drawn int // lines that stand on the terminal
	eta   eta
}

// NewPanel returns a panel for a scenario with its settings.
func NewPanel(out io.Writer, scenario string, c loadgen.Config, colour bool, width func() int) *Panel {
	return &Panel{out: out, scenario: scenario, config: c, colour: colour, width: width, eta: eta{config: c, scenario: scenario}}
}

// The few attributes that every terminal has.
const (
	bold   = "1"
	red    = "31"
	yellow = "33"
)

const (
	eraseLine = "\x1b[2K"
	eraseDown = "\x1b[J"
)

// Show draws the panel with a sample.
func (p *Panel) Show(s loadgen.Sample) {
	lines := p.lines(s)
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	// A line that wraps would be two to go back over.
	width := max(p.width(), 20) - 1
	for _, l := range lines {
		b.WriteString("\r" + eraseLine + l.render(width, p.colour) + "\n")
	}
	b.WriteString(eraseDown)
	p.drawn = len(lines)
	// A terminal that is gone is no reason to end the run.
	_, _ = io.WriteString(p.out, b.String())
}

// Done leaves the last state on the terminal.
func (p *Panel) Done() { p.drawn = 0 }

// span is a piece of a line with one attribute, "" for none.
type span struct{ text, attribute string }

// panelLine is a line of the panel.
type panelLine []span

func (l *panelLine) add(attribute, format string, args ...any) {
	*l = append(*l, span{fmt.Sprintf(format, args...), attribute})
}

// render cuts the line to a width and adds the attributes.
func (l panelLine) render(width int, colour bool) string {
	var b strings.Builder
	for _, s := range l {
		text := []rune(s.text)
		text = text[:min(len(text), width)]
		width -= len(text)
		if colour && s.attribute != "" && len(text) > 0 {
			fmt.Fprintf(&b, "\x1b[%sm%s\x1b[0m", s.attribute, string(text))
		} else {
			b.WriteString(string(text))
		}
	}
	return b.String()
}

func (p *Panel) lines(s loadgen.Sample) []panelLine {
	lines := []panelLine{p.head(s), p.clients(s)}
	if s.Published > 0 {
		lines = append(lines, p.messages(s))
	}
	if s.Due.Count > 0 {
		lines = append(lines, latencyLine(s.Due))
	}
	if s.Server != nil {
		lines = append(lines, serverLine(s))
	}
	lines = append(lines, selfLine(s))
	return append(lines, reasonLines(s.Reasons)...)
}

func (p *Panel) head(s loadgen.Sample) panelLine {
	var l panelLine
	l.add(bold, "loadgen %s", p.scenario)
	l.add("", "  %s  ", p.config.URL)
	l.add(bold, "%s", s.Phase)
	l.add("", "  %s", clock(s.Seconds))
	if left, known := p.eta.left(s); known {
		l.add("", ", about %s to go", clock(left))
	}
	return l
}

// barWidth is how many columns stand for all clients.
const barWidth = 20

func (p *Panel) clients(s loadgen.Sample) panelLine {
	var l panelLine
	target := uint64(max(p.config.Connections, 1))
	full := int(min(s.Open, target) * barWidth / target)
	l.add("", "clients   %s%s %d/%d", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), s.Open, p.config.Connections)
	if s.ReadyPS > 0 {
		l.add("", "  %.0f/s", s.ReadyPS)
	}
	if s.Failed > 0 {
		l.add(red, "  failed %d", s.Failed)
	}
	if s.Lost > 0 {
		l.add(red, "  lost %d", s.Lost)
	}
	if s.Away > 0 {
		l.add("", "  away %d", s.Away)
	}
	return l
}

func (p *Panel) messages(s loadgen.Sample) panelLine {
	var l panelLine
	l.add("", "messages  published %d  delivered %d/%d  %.0f/s", s.Published, s.Delivered, s.Expected, s.DeliveredPS)
	return l
}

func latencyLine(d loadgen.Latency) panelLine {
	var l panelLine
	text := func(ns int64) string { return loadgen.FormatFigure(loadgen.UnitDuration, float64(ns)) }
	l.add("", "latency   p50 %s  p99 %s  max %s", text(d.P50), text(d.P99), text(d.Max))
	return l
}

func serverLine(s loadgen.Sample) panelLine {
	var l panelLine
	l.add("", "server    %s", loadgen.FormatFigure(loadgen.UnitBytes, float64(s.Server.RSS)))
	if s.Open > 0 {
		l.add("", ", %s a client", loadgen.FormatFigure(loadgen.UnitBytes, s.RSSPerConnection))
	}
	l.add("", "  CPU %.0f %%", s.ServerCPU*100)
	return l
}

// busyLoop is from where on the figures say more about loadgen than about the
// server.
const busyLoop = 0.9

func selfLine(s loadgen.Sample) panelLine {
	var l panelLine
	l.add("", "loadgen   CPU %.0f %%  ", s.SelfCPU*100)
	attribute := ""
	if s.LoopBusy > busyLoop {
		attribute = yellow
	}
	l.add(attribute, "busiest loop %.0f %%", s.LoopBusy*100)
	return l
}

// mostReasons is how many lines errors may take.
const mostReasons = 4

func reasonLines(reasons map[loadgen.Reason]uint64) []panelLine {
	all := slices.SortedFunc(maps.Keys(reasons), func(a, b loadgen.Reason) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	var lines []panelLine
	for i, why := range all {
		var l panelLine
		if i == mostReasons-1 && len(all) > mostReasons {
			l.add(red, "errors    and %d other reasons", len(all)-i)
			return append(lines, l)
		}
		l.add(red, "errors    %d  %s", reasons[why], why)
		lines = append(lines, l)
	}
	return lines
}

func clock(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	if d < time.Hour {
		return fmt.Sprintf("%d:%02d min", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d h", int(d.Hours()), int(d.Minutes())%60)
}

// eta estimates how long the phase of a run goes on.
type eta struct {
	// Immutable
	config   loadgen.Config
	scenario string

	phase loadgen.Phase
	began float64 // of the phase
}

// left returns the seconds that are left; false where nobody knows.
func (e *eta) left(s loadgen.Sample) (seconds float64, known bool) {
	if s.Phase != e.phase {
		e.phase, e.began = s.Phase, s.Seconds
	}
	c := e.config
	switch {
	case s.PhaseEnds > 0:
		return max(s.PhaseEnds-s.Seconds, 0), true
	case c.Stages != "":
		return 0, false // a ramp's target is not in the sample
	case s.Phase == loadgen.PhaseConnect && s.ReadyPS > 0:
		return float64(uint64(max(c.Connections, 0))-min(s.Settled, uint64(c.Connections))) / s.ReadyPS, true
	case s.Phase == loadgen.PhasePublish && e.scenario == "fanout" && s.Published > 0:
		// In turn: as fast as it was up to now.
		rate := float64(s.Published) / max(s.Seconds-e.began, 1)
		return max(float64(c.Messages)-float64(s.Published), 0) / rate, true
	}
	return 0, false
}
