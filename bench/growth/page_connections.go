package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pushgate/pushgate/bench/chart"
)

// writeConnections is the section on connections.
func writeConnections(p *page, r *result) {
	first, steps := r.Steps[0], r.Steps[1:]
	last, half := steps[len(steps)-1], middle(steps)
	p.say("## Connections")
	p.say("### Memory")
	p.say(`One gateway after a warm-up of %s handshakes, whose clients connect and stay. Memory is read right after a garbage
collection, which Go makes every two minutes anyway: before it, two gateways with the same clients hold different amounts of garbage. The
process has %s MiB with its first client, most of it the program; what counts is the marginal cost, the difference between two numbers of
connections.`, chart.Grouped(float64(r.Scale.Warmup)), mib(first.of(figureRSS).mid()))
	var rows [][]string
	before := first
	for _, s := range steps {
		rows = append(rows, []string{chart.Grouped(s.At), inMiB(s.of(figureRSS)), inMiB(s.of(figureLive)),
			marginal(before, s, figureRSS).text("%.0f"), marginal(before, s, figureLive).text("%.0f")})
		before = s
	}
	p.table([]string{"connections", "RSS MiB", "live heap MiB", "RSS, B for each further one", "live heap, B for each further one"}, rows)
	lower, upper := marginal(steps[0], half, figureRSS), marginal(half, last, figureRSS)
	p.say("From %s to %s connections a further one costs %s B of RSS, from there to %s %s B.", chart.Grouped(steps[0].At), chart.Grouped(half.At),
		lower.text("%.0f"), chart.Grouped(last.At), upper.text("%.0f"))
	p.claim("RSS of a further connection", fmt.Sprintf("%s to %s", chart.Grouped(steps[0].At), chart.Grouped(last.At)), "%.0f B", "[memory](#memory)", lower.mid(), upper.mid())
	if !flat(lower.mid(), upper.mid()) && lower.mid() < upper.mid() {
		p.say(`That is not flat, and can't be seen more finely with so few. A Go heap is at least 4 MiB before it is collected, and what the
warm-up and each handshake leave behind is used again: the first thousands of connections fit into memory that the process has anyway, and some of it is given back meanwhile. The
tables grow by chunks of up to 4,096 entries, 180 KB for the connections alone, in each shard; so steps of a few thousand connections meet now one
chunk more and now none.`)
	}
	p.million()
	p.say("### Messages")
	p.say("One channel; each message is sent when the one before has come to all, about %s deliveries in each step.", chart.Grouped(float64(r.Scale.Deliveries)))
	p.inTurn("connections", steps)
	p.claim("CPU of a delivery", fmt.Sprintf("%s to %s connections", chart.Grouped(steps[0].At), chart.Grouped(last.At)), "%.2f us", "[messages](#messages)", mids(steps, figureCPU)...)
	if kernel, own := p.sides(steps, steps[0], last); kernel > max(own, 0) {
		p.say(`A profile with %sperf%s shows where: in the kernel's %s__inet_lookup_established%s and in what touches a socket for the
first time since its last message. Each connection has about 8 KB of sockets in this kernel, both ends counted, so that the sockets of a thousand
connections stay in the CPU's caches from one message to the next and those of ten thousand don't. The gateway touches 44 B of its own for a
delivery and 24 B of the index.`, "`", "`", "`", "`")
	}
	p.draw(chart.Lines{File: "connections.svg", Title: "CPU of the gateway for a delivery", X: "connections", Y: "us", LogX: true,
		Lines: []chart.Line{lineOf("all", steps, func(s *step) values { return s.of(figureCPU) }),
			lineOf("in the kernel", steps, kernelPart), lineOf("the gateway's own", steps, ownPart)}})
}

// inTurn is the table of steps with one message after the other.
func (p *page) inTurn(what string, steps []*step) {
	var rows [][]string
	for _, s := range steps {
		rows = append(rows, []string{s.Name, chart.Grouped(s.of(figureMessages).mid()), s.of(figureCPU).text("%.2f"), fmt.Sprintf("%.2f", kernelPart(s).mid()),
			fmt.Sprintf("%.2f", ownPart(s).mid()), s.of(figureLast).text("%.1f"), s.of(figureLastP99).text("%.1f")})
	}
	p.table([]string{what, "messages", "CPU us a delivery", "in the kernel", "own", "ms to the last subscriber, p50", "p99"}, rows)
}

// further is one run of bench/million, as far as it is needed here.
type further struct {
	Date     string  `json:"date"`
	Clients  float64 `json:"clients"`
	Emulated bool    `json:"emulated"`
	Personal bool    `json:"personal"` // with a channel for each client, which costs more
	Before   grown   `json:"before"`
	Held     grown   `json:"held"`
}

type grown struct {
	RSS  float64 `json:"rss"`
	Live float64 `json:"heap_live"`
}

// million puts the emulated runs of bench/million with a channel for all beside
// the native ones, of each number of clients the newest.
func (p *page) million() {
	names, err := filepath.Glob(filepath.Join(p.docs, "million", "*.json"))
	if err != nil {
		p.err = err
		return
	}
	newest := make(map[float64]further)
	for _, name := range names {
		text, err := os.ReadFile(name)
		var f further
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		if err != nil {
			p.err = fmt.Errorf("%s: %w", name, err)
			return
		}
		if f.Emulated && !f.Personal && f.Date >= newest[f.Clients].Date {
			newest[f.Clients] = f
		}
	}
	var steps []*step
	for n, f := range newest {
		s := &step{Name: chart.Grouped(n), At: n, Figures: make(map[figure]values)}
		s.add(figureRSS, f.Held.RSS-f.Before.RSS)
		s.add(figureLive, f.Held.Live-f.Before.Live)
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b *step) int { return int(a.At - b.At) })
	if len(steps) < 3 {
		return
	}
	p.say(`### Memory further out`)
	p.say(`[MILLION.md](MILLION.md) has runs in an emulated Linux that go on to %s connections, each in a process of its own. Their memory is that of a real kernel
and a real process; their CPU time is the emulator's, comparable only within one run, and not shown here. The live heap there is as the metrics
said, with whatever garbage there was.`, chart.Grouped(steps[len(steps)-1].At))
	var rows [][]string
	for i, s := range steps {
		next := ""
		if i > 0 {
			next = marginal(steps[i-1], s, figureRSS).text("%.0f")
		}
		rows = append(rows, []string{chart.Grouped(s.At), inMiB(s.of(figureRSS)), inMiB(s.of(figureLive)), fmt.Sprintf("%.0f", s.of(figureRSS).mid()/s.At), next})
	}
	p.table([]string{"connections", "RSS grown by, MiB", "heap grown by, MiB", "RSS, B a connection", "B for each further one"}, rows)
	first, half, last := steps[0], middle(steps), steps[len(steps)-1]
	lower, upper := marginal(first, half, figureRSS).mid(), marginal(half, last, figureRSS).mid()
	p.say(`From %s to %s connections a further one costs %.0f B of RSS, from there to %s %.0f B. Neighbouring runs differ by more, by where each
was between two garbage collections: the collector lets the heap grow to twice of what is alive.`,
		chart.Grouped(first.At), chart.Grouped(half.At), lower, chart.Grouped(last.At), upper)
	p.claim("RSS of a further connection, emulated", fmt.Sprintf("%s to %s", chart.Grouped(first.At), chart.Grouped(last.At)), "%.0f B", "[further out](#memory-further-out)", lower, upper)
	p.draw(chart.Lines{File: "memory.svg", Title: "Resident memory that the gateway has grown by, emulated", X: "connections", Y: "MiB", LogX: true, LogY: true,
		Lines: []chart.Line{lineOf("RSS", steps, func(s *step) values { return s.of(figureRSS).times(1.0 / (1 << 20)) }),
			lineOf("heap", steps, func(s *step) values { return s.of(figureLive).times(1.0 / (1 << 20)) })}})
}
