package main

import (
	"path/filepath"

	"github.com/pushgate/pushgate/bench/chart"
)

// writeCharts draws the result into docs/million.
func writeCharts(docs string, res *result) error {
	for _, c := range []chart.Lines{
		connectionsChart(res), memoryChart(res), kernelChart(res), everyoneChart(res), drainChart(res),
	} {
		if err := c.Write(filepath.Join(docs, "million")); err != nil {
			return err
		}
	}
	return nil
}

func connectionsChart(res *result) chart.Lines {
	var l chart.Line
	for _, p := range res.Points {
		l.Xs, l.Ys = append(l.Xs, p.Seconds), append(l.Ys, float64(p.Connections))
	}
	return chart.Lines{File: "connections.svg", Title: "Connections over the whole run", X: "seconds", Y: "connections", Lines: []chart.Line{l}}
}

// memoryChart has connections on its x axis: a straight line is a price per
// connection that does not change.
func memoryChart(res *result) chart.Lines {
	l := chart.Line{}
	for _, p := range res.Points {
		if p.Step == "connect" {
			l.Xs, l.Ys = append(l.Xs, float64(p.Connections)), append(l.Ys, float64(p.RSS)/(1<<20))
		}
	}
	return chart.Lines{File: "memory.svg", Title: "Resident memory of the gateway while clients connect", X: "connections", Y: "MiB", Lines: []chart.Line{l}}
}

func kernelChart(res *result) chart.Lines {
	slab, buffers := chart.Line{Name: "slab"}, chart.Line{Name: "socket buffers"}
	for _, p := range res.Points {
		if p.Step == "connect" {
			x := float64(p.Connections)
			slab.Xs, slab.Ys = append(slab.Xs, x), append(slab.Ys, float64(p.Slab)/(1<<20))
			buffers.Xs, buffers.Ys = append(buffers.Xs, x), append(buffers.Ys, float64(p.SocketPages)/(1<<20))
		}
	}
	return chart.Lines{File: "kernel.svg", Title: "Kernel memory, both ends of each connection", X: "connections", Y: "MiB", Lines: []chart.Line{slab, buffers}}
}

func everyoneChart(res *result) chart.Lines {
	c := chart.Lines{File: "everyone.svg", Title: "One message to every client", X: "seconds after PUBLISH", Y: "clients that have it"}
	if len(res.Messages) > 0 {
		c.Lines = []chart.Line{curveLine("", res.Messages[0].Curve)}
	}
	return c
}

func drainChart(res *result) chart.Lines {
	d := res.Drain
	return chart.Lines{File: "drain.svg", Title: "Shutdown: clients that were sent away", X: "seconds after SIGTERM", Y: "clients", Lines: []chart.Line{
		curveLine("seen by the clients", d.Curve),
		{Name: "planned by drain.timeout", Dashed: true, Xs: []float64{0, d.Planned}, Ys: []float64{0, float64(d.Goal)}},
	}}
}

func curveLine(name string, curve []mark) chart.Line {
	l := chart.Line{Name: name, Xs: []float64{0}, Ys: []float64{0}}
	for _, m := range curve {
		l.Xs, l.Ys = append(l.Xs, m.Seconds), append(l.Ys, float64(m.Count))
	}
	return l
}
