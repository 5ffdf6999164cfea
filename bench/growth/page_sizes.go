package main

import (
	"fmt"

	"github.com/pushgate/pushgate/bench/chart"
)

// writeSizes is the section on the size of messages.
func writeSizes(p *page, r *result) {
	steps, wide := r.Steps[:len(r.Steps)-1], r.find(wideStep)
	first, last := steps[0], steps[len(steps)-1]
	p.say("## Size of messages")
	p.say("%s clients on one channel, one message after the other.", chart.Grouped(float64(r.Scale.Readers)))
	p.inTurn("size", steps)
	var rows [][]string
	for i, s := range steps {
		next := ""
		if i > 0 {
			next = marginal(steps[i-1], s, figureCPU).times(1e3).text("%.2f")
		}
		rows = append(rows, []string{s.Name, fmt.Sprintf("%.2f", s.of(figureCPU).mid()*1e3/s.At), next})
	}
	p.table([]string{"size", "CPU ns a byte", "for each further one"}, rows)
	same := 1
	for same < len(steps) && flat(mids(steps[:same+1], figureCPU)...) {
		same++
	}
	if same > 1 {
		p.say("Up to %s a delivery costs the same within %.0f %%: what counts is the way into the kernel, not what is copied.", steps[same-1].Name, (flatWithin-1)*100)
	}
	p.claim("CPU of a delivery", fmt.Sprintf("%s to %s", first.Name, last.Name), "%.2f us", "[size](#size-of-messages)", mids(steps, figureCPU)...)
	p.say(`The largest size once more with a %ssocket.send_buffer%s that holds it: %s us a delivery, %s ms to the last subscriber (p99 %s ms), in place of %s us
and %s ms (p99 %s ms).`, "`", "`", wide.of(figureCPU).text("%.2f"), wide.of(figureLast).text("%.1f"), wide.of(figureLastP99).text("%.1f"),
		last.of(figureCPU).text("%.2f"), last.of(figureLast).text("%.1f"), last.of(figureLastP99).text("%.1f"))
	if last.of(figureLast).mid() > 1.5*wide.of(figureLast).mid() {
		p.say(`The default buffer of 16 KiB, which keeps a client that does not read from holding more than 80 KB of the kernel's memory, takes about 48 KiB of a message
at once. The rest of a larger one is queued and goes out as the client's kernel acknowledges: that costs three more system calls, and where the
acknowledgement is delayed, as it is over the loopback with its segments of 64 KB, 40 ms. Raise it where single messages are larger than that.`)
	}
	p.draw(chart.Lines{File: "sizes.svg", Title: "CPU of the gateway for a delivery, by size", X: "bytes", Y: "us", LogX: true, LogY: true, Lines: []chart.Line{
		lineOf("all", steps, func(s *step) values { return s.of(figureCPU) })}})
	p.draw(chart.Lines{File: "sizes-last.svg", Title: "Time until the last subscriber has the message", X: "bytes", Y: "ms", LogX: true, LogY: true, Lines: []chart.Line{
		lineOf("p50", steps, func(s *step) values { return s.of(figureLast) }), lineOf("p99", steps, func(s *step) values { return s.of(figureLastP99) })}})
}
