package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/bench/chart"
)

// page is the document under way.
type page struct {
	dir    string // of the results and charts
	docs   string
	text   bytes.Buffer
	claims []claim
	err    error // the first of a chart
}

// claim is one line of the summary.
type claim struct {
	cost, over string
	costs      []float64 // at its steps
	unit       string    // a format for one of them
	where      string    // the section, and what it says in a few words
}

// writePage writes GROWTH.md and the charts from the results that are kept.
func writePage(docs string) error {
	p := &page{docs: docs, dir: filepath.Join(docs, "growth")}
	var all []*result
	for _, x := range parts {
		r, err := kept(p.dir, x.name)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		all = append(all, r)
		x.write(p, r)
	}
	if len(all) == 0 {
		return fmt.Errorf("no result in %s", p.dir)
	}
	sections := p.text.String()
	p.text.Reset()
	p.opening(all)
	p.text.WriteString(sections)
	p.closing(all)
	text := strings.TrimRight(p.text.String(), "\n") + "\n"
	return errors.Join(p.err, chart.WritePage(filepath.Join(docs, "GROWTH.md"), []byte(text)))
}

// pageWidth is how long the page's lines are, tables and headings aside.
const pageWidth = 120

// say adds a paragraph and breaks its lines.
func (p *page) say(format string, args ...any) {
	column := 0
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		switch {
		case column == 0:
		case column+1+len(word) > pageWidth:
			p.text.WriteByte('\n')
			column = 0
		default:
			p.text.WriteByte(' ')
			column++
		}
		p.text.WriteString(word)
		column += len(word)
	}
	p.text.WriteString("\n\n")
}

// table adds a table; all columns but the first are numbers.
func (p *page) table(head []string, rows [][]string) {
	line := func(cells []string) { fmt.Fprintf(&p.text, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	fmt.Fprintf(&p.text, "|---|%s\n", strings.Repeat("---:|", len(head)-1))
	for _, r := range rows {
		line(r)
	}
	p.text.WriteString("\n")
}

// draw adds a chart.
func (p *page) draw(c chart.Lines) {
	if err := c.Write(p.dir); err != nil && p.err == nil {
		p.err = err
	}
	p.say("![%s](growth/%s)", c.Title, c.File)
}

// lineOf draws a figure of some steps: the median of each, with a bar from the
// least to the most.
func lineOf(name string, steps []*step, of func(*step) values) chart.Line {
	l := chart.Line{Name: name}
	for _, s := range steps {
		v := of(s)
		l.Xs, l.Ys = append(l.Xs, s.At), append(l.Ys, v.mid())
		l.Low, l.High = append(l.Low, slices.Min(v)), append(l.High, slices.Max(v))
	}
	return l
}

// claim adds a line to the summary.
func (p *page) claim(cost, over, unit, where string, costs ...float64) {
	p.claims = append(p.claims, claim{cost, over, costs, unit, where})
}

func (c claim) row() []string {
	verdict := "**no**"
	if flat(c.costs...) {
		verdict = "yes"
	}
	first, last := c.costs[0], c.costs[len(c.costs)-1]
	return []string{c.cost, c.over, fmt.Sprintf(c.unit, first), fmt.Sprintf(c.unit, last), times(ratio(c.costs...)), verdict, c.where}
}

// times writes a ratio.
func times(v float64) string {
	if v > 100 {
		return "over 100"
	}
	return fmt.Sprintf("%.2f", v)
}

func (p *page) opening(all []*result) {
	newest := slices.MaxFunc(all, func(a, b *result) int { return cmp.Compare(a.Date, b.Date) })
	m := newest.Machine
	p.say("# How the costs grow")
	p.say(`This page was written by %smake bench-growth%s on %s. It asks of each cost of the gateway whether it stays the same
as the load grows: with connections, with channels, with subscriptions, with the size of messages, and beside a channel that has
very many. "Flat" means that the largest of a cost's values is at most %.0f %% above the smallest; where one is not, its section says
why.`, "`", "`", newest.Date, (flatWithin-1)*100)
	p.say(`%s, %d CPUs, %.1f GiB of memory, Linux %s, %s, redis-server %s. A figure is the median of its rounds, with the
least and the most in brackets; every second round goes through the steps backwards.`,
		m.CPU, m.CPUs, float64(m.Memory)/(1<<30), m.Kernel, m.Go, m.Redis)
	var rows [][]string
	for _, c := range p.claims {
		rows = append(rows, c.row())
	}
	p.table([]string{"cost", "over", "first", "last", "largest to smallest", "flat", ""}, rows)
	p.say(`## What these figures can't say`)
	others := 0.0
	for _, r := range all {
		for _, s := range r.Steps {
			for _, v := range s.of(figureOthers) {
				others = max(others, v)
			}
		}
	}
	p.say(`The clients, Redis and the publisher run on the same %d CPUs as the gateway. The gateway's CPU time is its own process's,
but what a delivery costs depends on what the client does: one that has gone to sleep must be woken, which the sender
pays for, and one that is behind need not. Caches are shared too. Times to the last subscriber contain the
client's reading. The messages go over the loopback: no network card, and both ends' kernel work is done by the sender. Other programs took up
to %.0f %% of the CPUs during a measurement.`, m.CPUs, 100*others)
	p.say(`CPU time is per delivery to one subscriber, read from the process's CPU clock, without what the gateway uses when nothing
happens. The kernel's part is counted by ticks, so it is rougher. Messages have %d B where nothing else is said. Nothing was lost,
doubled or out of order: a run with any of these ends without a result. Heartbeats are off.`, plainSize)
}

func (p *page) closing(all []*result) {
	p.say("## Commands")
	p.text.WriteString("```sh\nmake bench-growth\n")
	for _, r := range all {
		fmt.Fprintf(&p.text, "go run ./bench/growth -part %s -repeat %d    # %s, %.0f s\n", r.Part, r.Repeat, r.Date, r.Seconds)
	}
	p.text.WriteString("go run ./bench/growth -render    # this page from the results that are kept\n```\n\n")
	p.say("The results are kept in [growth/](growth/) as JSON.")
}

func mib(v float64) string { return fmt.Sprintf("%.2f", v/(1<<20)) }

// inMiB writes values in bytes.
func inMiB(v values) string { return v.times(1.0 / (1 << 20)).text("%.2f") }

// kernelPart and ownPart are a delivery's CPU time in and out of the kernel.
func kernelPart(s *step) values {
	return s.of(figureCPU).with(s.of(figureKernel), func(cpu, share float64) float64 { return cpu * share })
}

func ownPart(s *step) values { return s.of(figureCPU).minus(kernelPart(s)) }

// sides says, where a delivery's cost is not flat over some steps, on which side of
// the system call it grows from one of them to another.
func (p *page) sides(steps []*step, from, to *step) (kernel, own float64) {
	if flat(mids(steps, figureCPU)...) {
		return 0, 0
	}
	kernel = kernelPart(to).mid() - kernelPart(from).mid()
	own = ownPart(to).mid() - ownPart(from).mid()
	p.say("Between %s and %s the kernel's part of a delivery grows by %.2f us and the gateway's own by %.2f us.", from.Name, to.Name, kernel, own)
	return kernel, own
}
