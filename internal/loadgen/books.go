package loadgen

import (
	"context"
	"slices"
)

// sampleServer returns the server's figures, nil where they can't be had.
func (r *run) sampleServer() *ProcessSample {
	if r.watch == nil {
		return nil
	}
	s, err := r.watch.sample()
	if err != nil {
		if !r.unread {
			r.unread = true
			r.warn("the server's process can't be read any more: %v; its figures are not measured", err)
		}
		if r.result.Server != nil {
			r.result.Server.Unread = true
		}
		return nil
	}
	return &s
}

// bookServer takes a sample for the result.
func (r *run) bookServer(into *ProcessSample) {
	if s := r.sampleServer(); s != nil {
		*into = *s
	}
}

// watchServer begins the books on the server's process.
func (r *run) watchServer() {
	if r.watch != nil {
		s := &Server{PID: r.watch.PID(), Name: r.watch.name}
		r.result.Server = s
		r.bookServer(&s.Before)
		s.MetricsBefore, _ = r.sampleMetrics()
	}
	if r.kernel != nil {
		if k, err := r.kernel.Sample(); err == nil {
			r.result.Kernel = &Kernel{Before: k}
		}
	}
}

// sampleMetrics reads the gateway's metrics; nil without --admin.
func (r *run) sampleMetrics() (*MetricsSample, error) {
	if r.metrics == nil {
		return nil, nil
	}
	m, err := r.metrics.sample(context.Background())
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// sampleKernel reads the kernel's figures; where they can't be had any more,
// the result has none.
func (r *run) sampleKernel(into *KernelSample) {
	s, err := r.kernel.Sample()
	if err != nil {
		r.warn("the kernel's figures can't be read any more: %v", err)
		r.result.Kernel = nil
		return
	}
	*into = s
}

// bookConnected notes how server and kernel are once the clients are up.
func (r *run) bookConnected() {
	r.top = r.engine.totals().open
	if s := r.result.Server; s != nil {
		r.bookServer(&s.Connected)
		s.MetricsConnected, _ = r.sampleMetrics()
	}
	if k := r.result.Kernel; k != nil {
		r.sampleKernel(&k.Connected)
	}
}

// perConnection computes what follows from the samples: with the clients that
// are there at the end, or after stages with those that were at their top.
func (s *Server) perConnection(res *Result, top uint64) {
	c := &res.Counters
	n, at, metrics := float64(c.Open), s.After, s.MetricsAfter
	if len(res.Steps) > 0 {
		n, at, metrics = float64(top), s.Connected, s.MetricsConnected
	}
	if n > 0 {
		s.RSSPerConnection = (float64(at.RSS) - float64(s.Before.RSS)) / n
		s.AnonPerConnection = (float64(at.Anon) - float64(s.Before.Anon)) / n
	}
	if n > 0 && s.MetricsBefore != nil && metrics != nil {
		s.HeapPerConnection = (float64(metrics.HeapInUse) - float64(s.MetricsBefore.HeapInUse)) / n
	}
	if n := float64(c.Established); n > 0 {
		s.CPUPerHandshake = (s.Connected.CPU - s.Before.CPU) / n * 1e6
	}
	i := slices.IndexFunc(res.Series, func(x Sample) bool {
		return x.Server != nil && x.Phase == PhaseConnect && x.Open >= uint64(res.Settings.Connections/2)
	})
	if i >= 0 && c.Open > res.Series[i].Open {
		s.RSSGrowth = (float64(s.After.RSS) - float64(res.Series[i].Server.RSS)) / float64(c.Open-res.Series[i].Open)
	}
}
