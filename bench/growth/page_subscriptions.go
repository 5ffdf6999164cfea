package main

import (
	"fmt"

	"github.com/pushgate/pushgate/bench/chart"
)

// writeSubscriptions is the section on subscriptions per connection.
func writeSubscriptions(p *page, r *result) {
	steps, clients := r.Steps, float64(r.Scale.Subscribers)
	first, half, last := steps[0], middle(steps), steps[len(steps)-1]
	p.say("## Subscriptions of one connection")
	p.say("%s clients of one gateway, each subscribed to the same channels, of which there are more and more. One message after the other, on each channel in turn.", chart.Grouped(clients))
	perSubscription := func(from, to *step, f figure) values { return marginal(from, to, f).times(1 / clients) }
	var rows [][]string
	for i, s := range steps {
		cells := []string{s.Name, inMiB(s.of(figureRSS)), inMiB(s.of(figureLive)), "", "", s.of(figureConnect).text("%.2f")}
		if i > 0 {
			cells[3], cells[4] = perSubscription(steps[i-1], s, figureRSS).text("%.0f"), perSubscription(steps[i-1], s, figureLive).text("%.0f")
		}
		rows = append(rows, cells)
	}
	p.table([]string{"subscriptions", "RSS MiB", "live heap MiB", "RSS, B for each further one", "live heap, B for each further one", "seconds until all have them"}, rows)
	over := fmt.Sprintf("%s to %s for each client", first.Name, last.Name)
	live := []values{perSubscription(first, half, figureLive), perSubscription(half, last, figureLive)}
	rss := []values{perSubscription(first, half, figureRSS), perSubscription(half, last, figureRSS)}
	p.say(`From %s to %s for each client a further subscription costs %s B of live heap and %s B of RSS, from there to %s %s B and %s B.`, first.Name, half.Name,
		live[0].text("%.0f"), rss[0].text("%.0f"), last.Name, live[1].text("%.0f"), rss[1].text("%.0f"))
	p.claim("live heap of a further subscription", over, "%.0f B", "[subscriptions](#subscriptions-of-one-connection)", live[0].mid(), live[1].mid())
	p.claim("RSS of a further subscription", over, "%.0f B", "[subscriptions](#subscriptions-of-one-connection)", rss[0].mid(), rss[1].mid())
	if !flat(rss[0].mid(), rss[1].mid()) || !flat(live[0].mid(), live[1].mid()) {
		p.say(`A subscription is 24 B in the index. The first %s are few against the chunks by which the index grows and against the smallest heap that
Go keeps; the collector lets a larger one grow to twice of what is alive.`, chart.Grouped(clients*half.At))
	}
	p.inTurn("subscriptions", steps)
	p.claim("CPU of a delivery", over, "%.2f us", "[subscriptions](#subscriptions-of-one-connection)", mids(steps, figureCPU)...)
	if _, own := p.sides(steps, first, last); own > 0 {
		p.say(`The gateway's own part is the walk through a channel's subscriptions. With one channel they lie side by side in the index; with many, those of a channel
are as far apart as a client has subscriptions, and come from memory one by one.`)
	}
	p.draw(chart.Lines{File: "subscriptions.svg", Title: "CPU of the gateway for a delivery", X: "subscriptions of each client", Y: "us", LogX: true, Lines: []chart.Line{
		lineOf("all", steps, func(s *step) values { return s.of(figureCPU) }), lineOf("in the kernel", steps, kernelPart), lineOf("the gateway's own", steps, ownPart)}})
}
