package main

import "path/filepath"

// writeCharts draws the result into docs/million.
func writeCharts(docs string, res *result) error {
	for _, c := range []chart{
		connectionsChart(res), memoryChart(res), kernelChart(res), everyoneChart(res), drainChart(res),
	} {
		if err := c.write(filepath.Join(docs, "million")); err != nil {
			return err
		}
	}
	return nil
}

func connectionsChart(res *result) chart {
	var l line
	for _, p := range res.Points {
		l.xs, l.ys = append(l.xs, p.Seconds), append(l.ys, float64(p.Connections))
	}
	return chart{file: "connections.svg", title: "Connections over the whole run", x: "seconds", y: "connections", lines: []line{l}}
}

// memoryChart has connections on its x axis: a straight line is a price per
// connection that does not change.
func memoryChart(res *result) chart {
	l := line{}
	for _, p := range res.Points {
		if p.Step == "connect" {
			l.xs, l.ys = append(l.xs, float64(p.Connections)), append(l.ys, float64(p.RSS)/(1<<20))
		}
	}
	return chart{file: "memory.svg", title: "Resident memory of the gateway while clients connect", x: "connections", y: "MiB", lines: []line{l}}
}

func kernelChart(res *result) chart {
	slab, buffers := line{name: "slab"}, line{name: "socket buffers"}
	for _, p := range res.Points {
		if p.Step == "connect" {
			x := float64(p.Connections)
			slab.xs, slab.ys = append(slab.xs, x), append(slab.ys, float64(p.Slab)/(1<<20))
			buffers.xs, buffers.ys = append(buffers.xs, x), append(buffers.ys, float64(p.SocketPages)/(1<<20))
		}
	}
	return chart{file: "kernel.svg", title: "Kernel memory, both ends of each connection", x: "connections", y: "MiB", lines: []line{slab, buffers}}
}

func everyoneChart(res *result) chart {
	c := chart{file: "everyone.svg", title: "One message to every client", x: "seconds after PUBLISH", y: "clients that have it"}
	if len(res.Messages) > 0 {
		c.lines = []line{curveLine("", res.Messages[0].Curve)}
	}
	return c
}

func drainChart(res *result) chart {
	d := res.Drain
	return chart{file: "drain.svg", title: "Shutdown: clients that were sent away", x: "seconds after SIGTERM", y: "clients", lines: []line{
		curveLine("seen by the clients", d.Curve),
		{name: "planned by drain.timeout", dashed: true, xs: []float64{0, d.Planned}, ys: []float64{0, float64(d.Goal)}},
	}}
}

func curveLine(name string, curve []mark) line {
	l := line{name: name, xs: []float64{0}, ys: []float64{0}}
	for _, m := range curve {
		l.xs, l.ys = append(l.xs, m.Seconds), append(l.ys, float64(m.Count))
	}
	return l
}
