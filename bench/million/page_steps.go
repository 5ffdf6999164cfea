package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/pushgate/pushgate/bench/chart"
)

func (p *page) steps() {
	p.say("## Messages and reconnects")
	row := func(what string, s step) string {
		return fmt.Sprintf("| %s | %s of %s | %.2f | %.2f | %s | %s |", what, chart.Grouped(float64(s.Reached)), chart.Grouped(float64(s.Goal)),
			s.Seconds, s.CPU, micros(s), lagText(s.Lag))
	}
	lines := []string{"| | clients | seconds | CPU seconds of the gateway | CPU us a client | loop lag, p99 |", "|---|---:|---:|---:|---:|---:|",
		row("connect, subscriptions confirmed", p.res.Connect)}
	names := []string{"message to everyone", "message to the second channel", "the same after the reconnects"}
	for i, m := range p.res.Messages {
		if i == 2 {
			lines = append(lines, row("hang up and come back", p.res.Return))
		}
		lines = append(lines, row(names[i], m.step))
	}
	p.say(lines...)
	p.say("A message has 128 bytes and is published with one Redis command; its time runs from that command until the last client has read",
		"it. The CPU of the clients, who share the machine, is not counted. Loop lag is the time that work posted to one of the",
		"gateway's loops waits for its turn, as the bound of the bucket that the 99th percentile is in; a dash: too few posts to say.")
	if len(p.res.Messages) > 0 {
		m := p.res.Messages[0]
		p.say(fmt.Sprintf("Half of the clients had the message after %.2f s, 99 %% after %.2f s, all of them after %.2f s.",
			at(m.Curve, m.Goal, 0.5), at(m.Curve, m.Goal, 0.99), m.Seconds))
		p.say("![clients that have the message](million/everyone.svg)")
	}
}

func (p *page) heartbeats() {
	h, interval := p.res.Hold, p.res.Interval
	p.say("## Heartbeats")
	lines := []string{fmt.Sprintf("The interval was %s s. In %.0f s without any other work the gateway sent %s pings and read their answers, for %.2f s of CPU.",
		chart.Grouped(interval), h.Seconds, chart.Grouped(float64(h.Pings)), h.CPU)}
	if h.Pings > 0 {
		each := pingCPU(h)
		lines = append(lines, fmt.Sprintf("Less the %.1f %% of a CPU that it uses without clients, it is %.0f us for one ping and its answer.", 100*h.IdleCPU, each*1e6),
			fmt.Sprintf("A whole interval of %s clients takes %.2g s of CPU at that price, or %.1f %% of one CPU.",
				chart.Grouped(float64(p.res.Clients)), each*float64(p.res.Clients), 100*each*float64(p.res.Clients)/interval))
	}
	lines = append(lines, fmt.Sprintf("Loop lag, p99: %s.", lagText(h.Lag)))
	p.say(lines...)
	p.say("A client that was heard from within half an interval is not pinged: in the interval in which they connect, about half of them are.")
}

// pingCPU is the gateway's CPU for one ping and its answer, in seconds.
func pingCPU(h hold) float64 {
	return max(0, h.CPU-h.IdleCPU*h.Seconds) / float64(max(h.Pings, 1))
}

func (p *page) shutdown() {
	d := p.res.Drain
	p.say("## Shutdown")
	lines := []string{fmt.Sprintf("SIGTERM with a drain.timeout of %s s: %s of %s clients saw a `bye` and close code 1012, the last one after %.1f s.",
		chart.Grouped(d.Planned), chart.Grouped(float64(d.Reached)), chart.Grouped(float64(d.Goal)), d.Seconds)}
	if d.Clean {
		lines = append(lines, fmt.Sprintf("The process ended with exit code 0 after %.1f s.", d.Exit))
	}
	if d.Planned > 0 && d.Goal > 0 {
		var most float64
		for _, m := range d.Curve {
			planned := min(1, m.Seconds/d.Planned)
			most = max(most, planned-float64(m.Count)/float64(d.Goal), float64(m.Count)/float64(d.Goal)-planned)
		}
		lines = append(lines, fmt.Sprintf("A tenth of them was gone after %.1f s, half after %.1f s, nine tenths after %.1f s; at no time was the drain further than %.1f %%",
			at(d.Curve, d.Goal, 0.1), at(d.Curve, d.Goal, 0.5), at(d.Curve, d.Goal, 0.9), 100*most), "of the clients away from an even one.")
	}
	p.say(lines...)
	p.say("![clients sent away](million/drain.svg)")
}

// runs compares all results.
func (p *page) runs(all []*result) {
	p.say("## Beside smaller runs")
	lines := []string{"|", "|---|"}
	cell := func(row int, text string) {
		for len(lines) <= row {
			lines = append(lines, "|")
		}
		lines[row] += " " + text + " |"
	}
	for i, name := range []string{"gateway, resident bytes a client", "slab bytes a client, both ends", "connects a second",
		"CPU us a handshake", "CPU us a delivery to everyone", "seconds until everyone has it", "CPU us a ping and its answer",
		"loop lag in the hold, p99", "drain: planned and taken, seconds", "kept every promise"} {
		cell(i+2, name)
	}
	cell(0, "")
	for _, res := range all {
		where := "native"
		if res.Emulated {
			where = "emulated"
		}
		cell(0, fmt.Sprintf("%s %s", chart.Grouped(float64(res.Clients)), where))
		lines[1] += "---:|"
		cell(2, chart.Grouped(perClient(res, res.Before.RSS, res.Held.RSS)))
		cell(3, chart.Grouped(perClient(res, res.Before.Slab, res.Held.Slab)))
		cell(4, chart.Grouped(float64(res.Connect.Reached)/max(res.Connect.Seconds, 1e-9)))
		cell(5, micros(res.Connect))
		var toAll step
		if len(res.Messages) > 0 {
			toAll = res.Messages[0].step
		}
		cell(6, micros(toAll))
		cell(7, fmt.Sprintf("%.2f", toAll.Seconds))
		if res.Hold.Pings > 0 {
			cell(8, fmt.Sprintf("%.0f", pingCPU(res.Hold)*1e6))
		} else {
			cell(8, "-")
		}
		cell(9, lagText(res.Hold.Lag))
		cell(10, fmt.Sprintf("%.1f, %.1f", res.Drain.Planned, res.Drain.Seconds))
		cell(11, map[bool]string{true: "yes", false: "no"}[len(res.Failed) == 0])
	}
	p.say(lines...)
	p.say("With few clients the gateway's resident memory is mostly what it takes to run at all: the heap of a Go program grows to at least",
		"4 MiB before its first collection, whoever is connected. Times and CPU of emulated runs are not comparable with each other: the",
		"guest's clocks run on while the host does something else, so they tell as much about the host as about the gateway.")
}

// personal tells of the runs in which each client has a channel of its own.
func (p *page) personal(all []*result) {
	if len(all) == 0 {
		return
	}
	p.say("## With a channel of its own for each client")
	p.say("The same course with a channel for each client in place of the one of all (`-personal`): as many channels, subscriptions of the gateway",
		"in Redis and names as clients. Every tenth client is told by a message of its own.")
	lines := []string{"| clients | connects a second | resident bytes a client | budget | told by a message each | seconds for that | lost, doubled | drain: planned and taken, seconds | kept every promise |",
		"|---|---:|---:|---:|---:|---:|---:|---:|---|"}
	commands := []string{"```sh"}
	for _, res := range all {
		where := "native"
		if res.Emulated {
			where = "emulated"
		}
		var told step
		if len(res.Messages) > 0 {
			told = res.Messages[0].step
		}
		kept := "yes"
		if len(res.Failed) > 0 {
			kept = "no: " + strings.Join(res.Failed, "; ")
		}
		lines = append(lines, fmt.Sprintf("| %s %s | %s | %s | 700 | %s of %s | %.2f | %d, %d | %.1f, %.1f | %s |", chart.Grouped(float64(res.Clients)), where,
			chart.Grouped(math.Round(float64(res.Connect.Reached)/res.Connect.Seconds)), chart.Grouped(perClient(res, res.Before.RSS, res.Held.RSS)),
			chart.Grouped(float64(told.Reached)), chart.Grouped(float64(told.Goal)), told.Seconds, told.Goal-told.Reached, res.Counts.Doubled,
			res.Drain.Planned, res.Drain.Seconds, kept))
		commands = append(commands, res.makeCommand())
	}
	p.say(lines...)
	p.say(append(commands, "```")...)
}

func (p *page) commands() {
	p.say("## Commands")
	p.say("```sh", p.res.makeCommand(), "```")
	p.say("Without `GUEST=1` the run takes place on the machine itself where its limits and memory suffice, as `gateway doctor` tells, and in",
		"the guest otherwise. [guest.sh](../bench/guest/guest.sh) says what the guest needs. The gateway was started as")
	p.say("```text", "gateway "+strings.Join(p.res.Gateway, " "), "```")
	p.say("and the clients as")
	p.say("```text", p.res.Command, "```")
	p.text.Truncate(p.text.Len() - 1)
}

// micros is the gateway's CPU time for one client.
func micros(s step) string {
	if s.Reached == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", s.CPU/float64(s.Reached)*1e6)
}

// lagText says in which bucket the 99th percentile is.
func lagText(l lag) string {
	switch {
	case l.Posts < 100:
		return "-"
	case l.P99 == 0:
		return "over 1 s"
	}
	return fmt.Sprintf("%g ms", l.P99*1e3)
}
