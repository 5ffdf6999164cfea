package main

import (
	"fmt"

	"github.com/pushgate/pushgate/bench/chart"
)

// writeChannels is the section on channels.
func writeChannels(p *page, r *result) {
	sc := r.Scale
	n := len(sc.Channels)
	// One channel for each client or fewer; then own ones, more and more; then as
	// many subscriptions to few channels.
	shared, own, few := r.Steps[:n], r.Steps[n-1:len(r.Steps)-1], r.Steps[len(r.Steps)-1]
	one, each, most := shared[0], own[0], own[len(own)-1]
	subscriptions := float64(sc.Clients)
	p.say("## Channels")
	p.say(`%s clients, each step with a gateway and a Redis of its own. Up to %s channels each client has one subscription; %s channels
take %d for each client. The last row has as many subscriptions as the one before, to %d channels.`, chart.Grouped(subscriptions), chart.Grouped(each.At),
		chart.Grouped(most.At), sc.Own[len(sc.Own)-1], sc.Own[len(sc.Own)-1])
	p.say("### Memory of channels")
	var rows [][]string
	for i, s := range r.Steps {
		total := subscriptions
		switch {
		case i >= n && s != few:
			total = s.At
		case s == few:
			total = subscriptions * s.At
		}
		rows = append(rows, []string{chart.Grouped(s.At), chart.Grouped(total), inMiB(s.of(figureRSS)), inMiB(s.of(figureLive)), s.of(figureConnect).text("%.2f")})
	}
	p.table([]string{"channels", "subscriptions", "RSS MiB", "live heap MiB", "seconds until all have them"}, rows)
	half := middle(own)
	live := []values{marginal(each, half, figureLive), marginal(half, most, figureLive)}
	rss := []values{marginal(each, half, figureRSS), marginal(half, most, figureRSS)}
	p.say(`A further channel with one subscriber costs %s B of live heap from %s to %s channels, and %s B from there to %s; of RSS %s B and
%s B, as the collector lets the heap grow to twice of what is alive.`, live[0].text("%.0f"), chart.Grouped(each.At), chart.Grouped(half.At), live[1].text("%.0f"),
		chart.Grouped(most.At), rss[0].text("%.0f"), rss[1].text("%.0f"))
	over := fmt.Sprintf("%s to %s channels", chart.Grouped(each.At), chart.Grouped(most.At))
	p.claim("live heap of a further channel", over, "%.0f B", "[memory](#memory-of-channels)", live[0].mid(), live[1].mid())
	p.claim("RSS of a further channel", over, "%.0f B", "[memory](#memory-of-channels)", rss[0].mid(), rss[1].mid())
	channel := most.of(figureLive).minus(few.of(figureLive)).times(1 / (most.At - few.At))
	subscription := few.of(figureLive).minus(one.of(figureLive)).times(1 / (subscriptions * (few.At - 1)))
	p.say("Of the live heap, %s B are the channel's and %s B the subscription's, as the row with few channels tells.", channel.text("%.0f"), subscription.text("%.1f"))
	subscribing := most.of(figureConnect).minus(few.of(figureConnect)).times(1e6 / most.At)
	p.say(`Subscribing to %s channels takes the gateway and Redis %s us for each beyond what connecting takes; %s seconds for all.`, chart.Grouped(most.At),
		subscribing.text("%.0f"), most.of(figureConnect).text("%.2f"))

	p.say("### Messages over many channels")
	p.say(`%s deliveries a second for %v, in every step. With one channel each message has %s subscribers, with a channel for each client it has one; so
the number of messages grows with the channels, and these rows tell what a message costs that few subscribe to.`, chart.Grouped(float64(sc.SpreadRate)), sc.SpreadFor, chart.Grouped(subscriptions))
	rows = nil
	for _, s := range r.Steps {
		deliveries := s.of(figurePerMsg).with(s.of(figureCPU), func(message, delivery float64) float64 { return message / delivery })
		rows = append(rows, []string{chart.Grouped(s.At), chart.Grouped(deliveries.mid()), chart.Grouped(s.of(figureMessages).mid()), s.of(figureCPU).text("%.2f"),
			fmt.Sprintf("%.2f", kernelPart(s).mid()), fmt.Sprintf("%.2f", ownPart(s).mid()), s.of(figurePerMsg).text("%.0f")})
	}
	p.table([]string{"channels", "deliveries a message", "messages", "CPU us a delivery", "in the kernel", "own", "CPU us a message"}, rows)
	p.claim("CPU of a delivery, fewer for each message", fmt.Sprintf("1 to %s channels", chart.Grouped(each.At)), "%.2f us", "[messages](#messages-over-many-channels)", mids(shared, figureCPU)...)
	p.claim("CPU of a delivery, one for each message", over, "%.2f us", "[messages](#messages-over-many-channels)", mids(own, figureCPU)...)
	if kernel, own := p.sides(shared, one, each); kernel+own > 0 {
		p.say(`The number of messages makes the difference, not that of channels: with one delivery for each message a delivery costs %s us on %s
channels and %s us on %s. Each message is read from Redis, numbered, put into its channel's ring and posted to a shard; but most of its price is
waking: the receiver of Redis' connection, then the shard, then the client, each of which had gone to sleep after the message before. A profile
shows it in the scheduler's task switches and in Go's sysmon. On a virtual machine that is dear, as a wake-up leaves the guest. When messages
come in bursts, or more than a shard sends at a time, the wake-ups are shared.`, each.of(figureCPU).text("%.1f"), chart.Grouped(each.At), most.of(figureCPU).text("%.1f"), chart.Grouped(most.At))
	}
	p.draw(chart.Lines{File: "channels.svg", Title: "CPU of the gateway for a delivery, by channels", X: "channels", Y: "us", LogX: true, Lines: []chart.Line{
		lineOf("fewer deliveries for each message", shared, func(s *step) values { return s.of(figureCPU) }),
		lineOf("one delivery for each message", own, func(s *step) values { return s.of(figureCPU) })}})
	p.draw(chart.Lines{File: "channels-memory.svg", Title: "Memory of the gateway, by channels", X: "channels", Y: "MiB", LogX: true, LogY: true, Lines: []chart.Line{
		lineOf("RSS", r.Steps[:len(r.Steps)-1], func(s *step) values { return s.of(figureRSS).times(1.0 / (1 << 20)) }),
		lineOf("live heap", r.Steps[:len(r.Steps)-1], func(s *step) values { return s.of(figureLive).times(1.0 / (1 << 20)) })}})
}
