package loadgen

import "time"

// stormed, churned and baseline return what their scenarios measured, zero for
// other scenarios.
func (r *Result) stormed() Storm {
	if r.Storm == nil {
		return Storm{}
	}
	return *r.Storm
}

func (r *Result) churned() Churn {
	if r.Churn == nil {
		return Churn{}
	}
	return *r.Churn
}

func (r *Result) baseline() Sent {
	if r.Slow == nil || r.Slow.Baseline == nil {
		return Sent{}
	}
	return *r.Slow.Baseline
}

func stormFigures() []Figure {
	row := func(name string, unit Unit, about string, of func(*Storm) (float64, bool)) Figure {
		return Figure{Name: name, Unit: unit, About: about, of: func(r *Result) (float64, bool) {
			if r.Storm == nil {
				return 0, false
			}
			return of(r.Storm)
		}}
	}
	back := func(name, about string, of func(*Storm) float64) Figure {
		// A share that never was back has no time: not measured, so missed.
		return row(name, UnitDuration, about, func(s *Storm) (float64, bool) {
			return of(s) * float64(time.Second), of(s) > 0
		})
	}
	return []Figure{
		back("back_50", "until half of the cut clients were back", func(s *Storm) float64 { return s.Back50 }),
		back("back_95", "until 95 % of them were back", func(s *Storm) float64 { return s.Back95 }),
		back("back_100", "until all of them were back", func(s *Storm) float64 { return s.Back100 }),
		row("returned", UnitCount, "clients that came back", func(s *Storm) (float64, bool) { return float64(s.Returned), true }),
		row("returns_per_second", UnitRate, "clients that came back", func(s *Storm) (float64, bool) { return s.PerSecond, s.PerSecond > 0 }),
	}
}

func churnFigures() []Figure {
	row := func(name string, unit Unit, about string, of func(*Churn) (float64, bool)) Figure {
		return Figure{Name: name, Unit: unit, About: about, of: func(r *Result) (float64, bool) {
			if r.Churn == nil {
				return 0, false
			}
			return of(r.Churn)
		}}
	}
	return []Figure{
		row("cycles_per_second", UnitRate, "clients closed and ready again", func(c *Churn) (float64, bool) { return c.PerSecond, true }),
		row("cycles_failed", UnitCount, "clients closed that did not come back", func(c *Churn) (float64, bool) { return float64(c.Failed), true }),
		row("cycles_skipped", UnitCount, "cycles that were due and not begun", func(c *Churn) (float64, bool) { return float64(c.Skipped), true }),
		row("cpu_per_cycle", UnitDuration, "the server's CPU time for a client that leaves and comes back",
			func(c *Churn) (float64, bool) { return c.CPUPerCycle * 1e3, c.CPUPerCycle > 0 }),
	}
}

func slowFigures() []Figure {
	row := func(name string, unit Unit, about string, of func(*Slow) (float64, bool)) Figure {
		return Figure{Name: name, Unit: unit, About: about, of: func(r *Result) (float64, bool) {
			if r.Slow == nil {
				return 0, false
			}
			return of(r.Slow)
		}}
	}
	return []Figure{
		row("slow_p99_ratio", UnitRatio, "p99 of the others with slow clients, over that without", func(s *Slow) (float64, bool) { return s.P99Ratio, s.P99Ratio > 0 }),
		row("slow_ended", UnitCount, "slow clients that the server closed", func(s *Slow) (float64, bool) { return float64(s.Ended), true }),
		row("rss_per_slow_client", UnitBytes, "growth of the server's resident memory for each slow client, over the baseline",
			func(s *Slow) (float64, bool) { return s.Memory, s.Baseline != nil && s.Before != nil && s.After != nil }),
	}
}

func kernelFigures() []Figure {
	row := func(name string, unit Unit, about string, of func(*Kernel) float64) Figure {
		return Figure{Name: name, Unit: unit, About: about, of: func(r *Result) (float64, bool) {
			if r.Kernel == nil || !r.connected() {
				return 0, false
			}
			return of(r.Kernel), true
		}}
	}
	return []Figure{
		row("slab_per_conn", UnitBytes, "growth of the kernel's slabs for each connection; over loopback, both ends", func(k *Kernel) float64 { return k.SlabPerConnection }),
		row("tcp_memory_per_conn", UnitBytes, "growth of TCP's buffers for each connection", func(k *Kernel) float64 { return k.TCPPerConnection }),
		row("listen_overflows", UnitCount, "connects that found the accept queue full", func(k *Kernel) float64 { return float64(k.After.Overflows) }),
	}
}
