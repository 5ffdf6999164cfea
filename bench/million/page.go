package million

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/page"
)

//go:embed page.tmpl
var pageText string

func pageFunctions(dir string) template.FuncMap {
	return template.FuncMap{
		"mib1":        mib,
		"percent":     func(share float64) string { return fmt.Sprintf("%.1f", 100*share) },
		"round":       math.Round,
		"join":        strings.Join,
		"messageName": func(i int) string { return messageNames[i] },
		"curve":       curve,
		"draw": func(file, title, x, y string, lines ...page.Line) (string, error) {
			return page.Lines(dir, file, title, x, y, lines...)
		},
	}
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }

// contents are the page's. The largest run has it, the others a column each in
// the last table.
type contents struct {
	*result
	All        []*result // with one channel for all
	Secure     []*result // the same over TLS, each behind the like one without
	OfTheirOwn []*result // with a channel for each client
}

// renderPage writes MILLION.md and the charts from the results that are kept in
// the folder.
func renderPage(docs string) error {
	dir := filepath.Join(docs, "million")
	kept, err := keptResults(dir)
	if err != nil {
		return err
	}
	c := contents{}
	var secure []*result
	for _, res := range kept {
		switch {
		case res.Personal:
			c.OfTheirOwn = append(c.OfTheirOwn, res)
		case res.TLS:
			secure = append(secure, res)
		default:
			c.All = append(c.All, res)
		}
	}
	if len(c.All) == 0 {
		return errors.New("there is no run with a channel for all, which the page is about")
	}
	c.result = c.All[0]
	for _, res := range secure {
		for _, plain := range c.All {
			if plain.Clients == res.Clients && plain.Emulated == res.Emulated {
				c.Secure = append(c.Secure, plain)
			}
		}
		c.Secure = append(c.Secure, res)
	}
	return page.Write(filepath.Join(docs, "MILLION.md"), pageText, pageFunctions(dir), c)
}

// keptResults returns all results of a folder, the one with the most clients
// first.
func keptResults(dir string) ([]*result, error) {
	all, err := page.Kept[result](dir)
	slices.SortStableFunc(all, func(a, b *result) int { return b.Clients - a.Clients })
	return all, err
}

// Name is a run's in a table.
func (res *result) Name() string {
	where := "native"
	if res.Emulated {
		where = "emulated"
	}
	if res.TLS {
		where += ", TLS"
	}
	return page.Grouped(float64(res.Clients)) + " " + where
}

// Each is the growth of a figure for each client.
func (res *result) Each(before, after int64) float64 {
	return float64(int64(float64(after-before) / float64(res.Clients)))
}

// Peak is the gateway's highest resident memory in the whole run, by samples.
func (res *result) Peak() int64 {
	peak := res.Held.RSS
	for _, p := range res.Points {
		peak = max(peak, p.RSS)
	}
	return peak
}

// Row is a line of the table of memory.
func (res *result) Row(name string, before, after int64) string {
	return fmt.Sprintf("| %s | %s | %s | %s |", name, mib(before), mib(after), page.Grouped(res.Each(before, after)))
}

// Used is the memory of the whole box that isn't free. Nothing else runs in the
// guest.
func (res *result) Used(m memory) int64 { return res.Machine.Memory - m.Free }

// SlabOfSocket is the slab memory of one socket, of which a connection has two
// here.
func (res *result) SlabOfSocket() float64 { return res.Each(res.Before.Slab, res.Held.Slab) / 2 }

// ToAll is the message to everyone.
func (res *result) ToAll() step {
	if len(res.Messages) == 0 {
		return step{}
	}
	return res.Messages[0]
}

// IntervalCPU is the gateway's CPU time for the heartbeats of one interval, in
// seconds, and IntervalShare its share of one CPU.
func (res *result) IntervalCPU() float64   { return res.Hold.PingMicros() / 1e6 * float64(res.Clients) }
func (res *result) IntervalShare() float64 { return res.IntervalCPU() / res.Interval }

// MakeCommand is the call of make that repeats the run. Make's own flags end in
// the number of clients, and the guest's in that of the handshakes.
func (res *result) MakeCommand() string {
	command := fmt.Sprintf("make million N=%d", res.Clients)
	if res.Emulated {
		command += " GUEST=1"
	}
	_, further, _ := strings.Cut(res.Command+" ", fmt.Sprintf(" -n %d ", res.Clients))
	further = strings.TrimPrefix(further, fmt.Sprintf("-c %d ", defaultInFlight))
	if further = strings.TrimSpace(further); further != "" {
		command += " MILLION_ARGS='" + further + "'"
	}
	return command
}

// Tables are the kernel's page tables, per-CPU areas and vmalloc.
func (m memory) Tables() int64 { return m.PageTables + m.Percpu + m.Vmalloc }

// messageNames are the names of the course's messages.
var messageNames = []string{"message to everyone", "message to the second channel", "the same after the reconnects"}

// Row is a line of the table of steps.
func (s step) Row(name string) string {
	return fmt.Sprintf("| %s | %s of %s | %.2f | %.2f | %s | %s |", name, page.Grouped(float64(s.Reached)), page.Grouped(float64(s.Goal)),
		s.Seconds, s.CPU, s.Micros(), s.Lag.Text())
}

// Micros is the gateway's CPU time for one client.
func (s step) Micros() string {
	if s.Reached == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", s.CPU/float64(s.Reached)*1e6)
}

// At is the second at which a share of the goal was reached.
func (s step) At(share float64) float64 { return client.At(s.Curve, s.Goal, share) }

// Rate is clients a second.
func (s step) Rate() float64 { return float64(s.Reached) / max(s.Seconds, 1e-9) }

// Lost is how many clients did not get there.
func (s step) Lost() int { return s.Goal - s.Reached }

// PingMicros is the gateway's CPU time for one ping and its answer.
func (h hold) PingMicros() float64 {
	return max(0, h.CPU-h.IdleCPU*h.Seconds) / float64(max(h.Pings, 1)) * 1e6
}

// Uneven is the largest difference from a drain that closes as many clients
// each second, as a share of all.
func (d drain) Uneven() (most float64) {
	for _, m := range d.Curve {
		most = max(most, math.Abs(min(1, m.Seconds/d.Planned)-float64(m.Count)/float64(d.Goal)))
	}
	return most
}

// Text says in which bucket the 99th percentile is.
func (l lag) Text() string {
	switch {
	case l.Posts < 100:
		return "-"
	case l.P99 == 0:
		return "over 1 s"
	}
	return fmt.Sprintf("%g ms", l.P99*1e3)
}

// Line draws a figure of the points over another, of one step or, "", of all.
func (res *result) Line(name, step, x, y string) page.Line {
	l := page.Line{Name: name}
	for _, p := range res.Points {
		if step == "" || p.Step == step {
			of := map[string]float64{
				"seconds": p.Seconds, "connections": float64(p.Connections),
				"RSS": float64(p.RSS) / (1 << 20), "slab": float64(p.Slab) / (1 << 20), "buffers": float64(p.SocketPages) / (1 << 20),
			}
			l.Points = append(l.Points, page.Point{X: of[x], Y: of[y]})
		}
	}
	return l
}

// Plan is an even drain.
func (d drain) Plan() page.Line {
	return page.Line{Name: "planned by drain.timeout", Dashed: true, Points: []page.Point{{}, {X: d.Planned, Y: float64(d.Goal)}}}
}

func curve(name string, marks []client.Mark) page.Line {
	l := page.Line{Name: name, Points: []page.Point{{}}}
	for _, m := range marks {
		l.Points = append(l.Points, page.Point{X: m.Seconds, Y: float64(m.Count)})
	}
	return l
}
