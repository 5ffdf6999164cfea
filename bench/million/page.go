package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pushgate/pushgate/bench/chart"
)

// renderPage writes MILLION.md and the charts from the results that are kept in
// the folder. The largest run has the page, the others a column each in the
// last table.
func renderPage(docs string) error {
	kept, err := keptResults(docs)
	if err != nil {
		return err
	}
	var all, personal []*result
	for _, res := range kept {
		if res.Personal {
			personal = append(personal, res)
		} else {
			all = append(all, res)
		}
	}
	if len(all) == 0 {
		return errors.New("there is no run with a channel for all, which the page is about")
	}
	res := all[0]
	if err := writeCharts(docs, res); err != nil {
		return err
	}
	p := &page{res: res}
	p.opening()
	p.memory()
	p.steps()
	p.heartbeats()
	p.shutdown()
	p.runs(all)
	p.personal(personal)
	p.commands()
	return chart.WritePage(filepath.Join(docs, "MILLION.md"), p.text.Bytes())
}

// page is the document under way.
type page struct {
	res  *result
	text bytes.Buffer
}

// say adds a paragraph, or a table with a line of its own for each argument.
func (p *page) say(lines ...string) {
	p.text.WriteString(strings.Join(lines, "\n") + "\n\n")
}

func (p *page) opening() {
	res := p.res
	p.say(fmt.Sprintf("# %s connections in one process", chart.Grouped(float64(res.Clients))))
	p.say("This page was written by `make million` on "+res.Date+". One gateway process holds idle WebSocket clients, each subscribed",
		"to one channel and every hundredth to a second one, with heartbeats on. Then come a message to all of them, one to the",
		"second channel, clients that hang up and come back, and a shutdown.")
	where := fmt.Sprintf("%s, %d CPUs, %s MiB of memory, Linux %s, %s.", res.Machine.CPU, res.Machine.CPUs,
		chart.Grouped(float64(res.Machine.Memory>>20)), res.Machine.Kernel, res.Machine.Go)
	if res.Emulated {
		where += "\nThis is a guest in QEMU without hardware support: every instruction is translated, and everything takes some 10 to 20 times" +
			"\nas long as on the machine itself. The memory figures are those of a real kernel and a real process; times and CPU time only" +
			"\nsay that the work gets done. The last table has the same course without emulation."
	}
	p.say(where)
	if len(res.Failed) == 0 {
		p.say(fmt.Sprintf("**%s connected, no message lost or doubled, no connection broken, every client sent away in order.**", chart.Grouped(float64(res.Connect.Reached))))
	} else {
		p.say("**This run did not keep every promise:**")
		for _, f := range res.Failed {
			p.text.WriteString("- " + f + "\n")
		}
		p.text.WriteString("\n")
	}
	p.say("![connections over time](million/connections.svg)")
}

// each returns the growth of a figure for each client.
func (p *page) each(before, after int64) string {
	return chart.Grouped(perClient(p.res, before, after))
}

func perClient(res *result, before, after int64) float64 {
	return float64(int64(float64(after-before) / float64(res.Clients)))
}

func (p *page) memory() {
	b, h := p.res.Before, p.res.Held
	mib := func(v int64) string { return fmt.Sprintf("%.1f", float64(v)/(1<<20)) }
	row := func(what string, before, after int64) string {
		return fmt.Sprintf("| %s | %s | %s | %s |", what, mib(before), mib(after), p.each(before, after))
	}
	p.say("## Memory")
	lines := []string{"| | MiB without clients | MiB with all of them | bytes a client |", "|---|---:|---:|---:|",
		row("**gateway, resident (smaps_rollup)**", b.RSS, h.RSS),
		row("of it anonymous", b.Anon, h.Anon),
		row("Go heap: spans in use, garbage included", b.HeapSpans, h.HeapSpans),
		row("Go heap: kept for the next allocations", b.HeapIdle, h.HeapIdle),
		row("Go runtime beside the heap", b.RuntimeOther, h.RuntimeOther),
		row("**kernel: slab, both ends of each connection**", b.Slab, h.Slab),
		row("kernel: socket buffers", b.SocketPages, h.SocketPages),
		row("kernel: page tables, per-CPU areas, vmalloc", b.PageTables+b.Percpu+b.Vmalloc, h.PageTables+h.Percpu+h.Vmalloc)}
	if p.res.Emulated {
		// Nothing else runs in the guest.
		total := p.res.Machine.Memory
		lines = append(lines, row("**everything: memory that is not free, clients and Redis included**", total-b.Free, total-h.Free))
	}
	p.say(lines...)
	p.say(fmt.Sprintf("A connection costs the gateway %s B of resident memory; the budget is 300 B. The kernel keeps two sockets for each of them here,",
		p.each(b.RSS, h.RSS)),
		fmt.Sprintf("as the clients are on the same machine: %s TCP sockets, %s B of slab for one.", chart.Grouped(float64(h.Sockets)),
			chart.Grouped(perClient(p.res, b.Slab, h.Slab)/2)),
		"Slab is what counts: the kernel's MemAvailable takes inodes for reclaimable that open sockets pin.",
		fmt.Sprintf("Goroutines: %d without clients, %d with all of them.", b.Goroutines, h.Goroutines))
	p.say(fmt.Sprintf("Go's collector aims at a heap of %s MiB, twice of what was alive at its last run: about half of the heap's growth is room that GOGC", mib(h.HeapNext)),
		"gives it, the rest is the slots, subscriptions and deadlines of [ARCHITECTURE.md](ARCHITECTURE.md).")
	p.say("![resident memory of the gateway](million/memory.svg)", "![kernel memory](million/kernel.svg)")
}
