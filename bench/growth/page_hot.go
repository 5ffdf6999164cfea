package main

import "github.com/pushgate/pushgate/bench/chart"

// writeHot is the section on a hot channel beside quiet ones.
func writeHot(p *page, r *result) {
	sc := r.Scale
	without, with := r.Steps[0], r.Steps[1]
	p.say("## A hot channel beside quiet ones")
	p.say(`%s clients on one hot channel and %s quiet channels with one client each, all connected all the time. In windows of %v the quiet ones get %g messages a second
between them; in every second window the hot one has %s messages a second, %s deliveries, which was to make the box %.0f %% busy. Latencies
are from the send to the receipt.`, chart.Grouped(float64(sc.Hot)), chart.Grouped(float64(sc.Quiet)), sc.Window, sc.QuietRate, with.of(figureHotRate).text("%.0f"),
		with.of(figureRate).text("%.0f"), 100*sc.Busy)
	row := func(name string, f figure, format string, scale float64) []string {
		return []string{name, without.of(f).times(scale).text(format), with.of(f).times(scale).text(format)}
	}
	p.table([]string{"quiet channels' messages", "without", "with the hot channel"}, [][]string{
		row("p50, ms", figureP50, "%.2f", 1), row("p99, ms", figureP99, "%.2f", 1), row("max, ms", figureMax, "%.2f", 1),
		row("CPUs in use, %", figureHost, "%.0f", 100), row("hot channel's p99, ms", figureHotP99, "%.0f", 1)})
	pass := with.of(figureHotP99).mid()
	p.say(`A pass of the hot channel through its subscribers takes up to %.0f ms (its p99). The quiet channels' p99 is %.1f ms: they don't wait for the end of it. A shard
serves the hot channel in slices of 64 deliveries, about 500 us, between which it takes what is new, and channels take turns. What is left are
the wake-ups on the way of a quiet message, of Redis, of the gateway's receiver and of the client, which find all %d CPUs busy with the hot one's deliveries and
with the hot clients who read them; with clients elsewhere it is less.`, pass, with.of(figureP99).mid(), r.Machine.CPUs)
	if q := with.of(figureP99).mid(); q > pass {
		p.say("**The quiet channels' p99 is longer than the hot one's pass: they do wait for it.**")
	}
	p.claim("p99 of quiet channels", "without and with a hot one", "%.2f ms", "[hot](#a-hot-channel-beside-quiet-ones)", without.of(figureP99).mid(), with.of(figureP99).mid())
	windows := func(name string, s *step, f figure) chart.Line {
		l := chart.Line{Name: name}
		for i, v := range s.of(f) {
			l.Xs, l.Ys = append(l.Xs, float64(i+1)), append(l.Ys, v)
		}
		return l
	}
	p.draw(chart.Lines{File: "hot.svg", Title: "Quiet channels' latency, window by window", X: "pair of windows", Y: "ms", LogY: true, Lines: []chart.Line{
		windows("p99 with the hot channel", with, figureP99), windows("p99 without", without, figureP99),
		windows("p50 with the hot channel", with, figureP50), windows("p50 without", without, figureP50)}})
}
