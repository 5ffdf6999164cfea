package result

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// Unit is what a figure counts. It is also what an SLO's limit is read in.
type Unit string

const (
	UnitCount    Unit = "count"
	UnitDuration Unit = "duration" // the value is in ns
	UnitBytes    Unit = "bytes"
	UnitRate     Unit = "per second"
	UnitPercent  Unit = "percent"
	UnitCPUs     Unit = "CPUs"
	UnitRatio    Unit = "ratio"
)

// Figure is one number of a run that has a name: SLOs judge it, and runs are
// compared by it.
type Figure struct {
	Name  string
	Unit  Unit
	About string
	// of returns the figure; false where the run has not measured it.
	of func(*Result) (float64, bool)
	// live returns the figure so far; nil where only the end of a run tells.
	live func(*Watch) (float64, bool)
}

// Of returns the figure's value in a run; false where it was not measured.
func (f Figure) Of(r *Result) (float64, bool) { return f.of(r) }

// Figures lists all figures in the order of the manual.
func Figures() []Figure {
	all := latencyFigures()
	for _, rows := range [][]Figure{clientFigures(), messageFigures(), stormFigures(), churnFigures(), slowFigures(), serverFigures(), kernelFigures(), selfFigures()} {
		all = append(all, rows...)
	}
	for i := range all {
		all[i].of = all[i].measured
	}
	return all
}

// withoutClients are the figures that no process that holds clients is asked
// for.
var withoutClients = []string{"published", "published_per_second", "late", "skipped", "not_sent", "fate_unknown", "rss", "listen_overflows"}

// measured hides a figure that can't be told once clients are out of sight.
func (f Figure) measured(r *Result) (float64, bool) {
	if r.Partial && !slices.Contains(withoutClients, f.Name) && !strings.HasPrefix(f.Name, "publish.") {
		return 0, false
	}
	if !r.told(f.Name) {
		return 0, false
	}
	return f.of(r)
}

// FindFigure looks for a figure by its name.
func FindFigure(name string) (Figure, bool) {
	all := Figures()
	if i := slices.IndexFunc(all, func(f Figure) bool { return f.Name == name }); i >= 0 {
		return all[i], true
	}
	return Figure{}, false
}

// WriteFigures writes the names with what they mean.
func WriteFigures(w io.Writer) error {
	var b strings.Builder
	for _, f := range Figures() {
		fmt.Fprintf(&b, "  %-24s %-10s %s\n", f.Name, f.Unit, f.About)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quantiles are the parts of a Latency that have names of their own. few is
// how many values a running figure needs before it says anything.
var quantiles = []struct {
	name string
	of   func(account.Latency) float64
	few  int64
}{
	{"p50", func(l account.Latency) float64 { return float64(l.P50) }, 20},
	{"p90", func(l account.Latency) float64 { return float64(l.P90) }, 100},
	{"p99", func(l account.Latency) float64 { return float64(l.P99) }, 1000},
	{"p99.9", func(l account.Latency) float64 { return float64(l.P999) }, 10000},
	{"max", func(l account.Latency) float64 { return float64(l.Max) }, 1},
	{"mean", func(l account.Latency) float64 { return l.Mean }, 100},
}

func latencyFigures() []Figure {
	var all []Figure
	for _, l := range []struct {
		name, about string
		of          func(*Result) account.Latency
		recorded    string // the name in an Interval
	}{
		{"handshake", "connect to the complete answer", func(r *Result) account.Latency { return r.Connect.Handshake }, account.LatencyHandshake},
		{"handshake_due", "the same from the intended time of the connect", func(r *Result) account.Latency { return r.Connect.HandshakeDue }, account.LatencyPaced},
		{"ready", "connect to the last subscription confirmed", func(r *Result) account.Latency { return r.Connect.Ready }, account.LatencyReady},
		{"delivery", "intended send time to receipt", func(r *Result) account.Latency { return r.sent().Due }, account.LatencyDelivery},
		{"delivery_sent", "real send time to receipt", func(r *Result) account.Latency { return r.sent().Real }, account.LatencySent},
		{"completion", "send to the last subscriber (without --rate)", func(r *Result) account.Latency { return r.sent().Completion }, ""},
		{"publish", "one round trip to Redis", func(r *Result) account.Latency { return r.sent().Publish }, ""},
		{"storm_handshake", "handshakes of clients that come back", func(r *Result) account.Latency { return r.stormed().Handshake }, ""},
		{"storm_ready", "the same to the last subscription confirmed", func(r *Result) account.Latency { return r.stormed().Ready }, ""},
		{"churn_handshake", "handshakes of clients that come and go", func(r *Result) account.Latency { return r.churned().Handshake }, ""},
		{"churn_ready", "the same to the last subscription confirmed", func(r *Result) account.Latency { return r.churned().Ready }, ""},
		{"baseline", "deliveries before some clients were slow, from intended time", func(r *Result) account.Latency { return r.baseline().Due }, ""},
	} {
		for _, q := range quantiles {
			f := Figure{
				Name:  l.name + "." + q.name,
				Unit:  UnitDuration,
				About: l.about,
				of: func(r *Result) (float64, bool) {
					v := l.of(r)
					return q.of(v), v.Count > 0
				},
			}
			if l.recorded != "" {
				f.live = func(w *Watch) (float64, bool) {
					v := w.latency(l.recorded)
					return q.of(v), v.Count >= q.few
				}
			}
			all = append(all, f)
		}
	}
	return all
}

// sent returns what Fanout measured, zero for other scenarios.
func (r *Result) sent() Sent {
	if r.Fanout == nil {
		return Sent{}
	}
	return *r.Fanout
}

// connected reports whether there were clients when what each costs was read: at
// the end, or with stages at their top.
func (r *Result) connected() bool {
	return r.Counters.Open > 0 || len(r.Steps) > 0 && r.Counters.Established > 0
}

// share is a part in percent; false where there is nothing to divide by.
func share(part, whole float64) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return part / whole * 100, true
}

func clientFigures() []Figure {
	counter := func(name, about string, of func(*account.Counters) uint64) Figure {
		return Figure{Name: name, Unit: UnitCount, About: about,
			of: func(r *Result) (float64, bool) { return float64(of(&r.Counters)), true }}
	}
	failed := counter("failed", "clients that never were ready", func(c *account.Counters) uint64 { return c.Failed + c.Untried })
	failed.live = func(w *Watch) (float64, bool) { return float64(w.sample.Failed), true }
	lost := Figure{Name: "lost", Unit: UnitCount, About: "clients that were ready and were lost, but not to a restart by the run",
		of: func(r *Result) (float64, bool) {
			return float64(r.Counters.Lost - min(r.stormed().Lost, r.Counters.Lost)), true
		}}
	lost.live = func(w *Watch) (float64, bool) {
		// What a storm has ended is told apart at the end.
		return float64(w.sample.Lost), w.sample.Phase != PhaseStorm && w.sample.Phase != PhaseLeave
	}
	return []Figure{
		{Name: "clients", Unit: UnitCount, About: "clients that were ready, each once",
			of: func(r *Result) (float64, bool) {
				if c := &r.Counters; c.Clients == 0 { // a run of an older version
					return min(float64(c.Ready), float64(r.Settings.Connections)), true
				}
				return float64(r.Counters.Clients), true
			}},
		failed,
		{Name: "failed_share", Unit: UnitPercent, About: "failed, of those asked for",
			of: func(r *Result) (float64, bool) {
				return share(float64(r.Counters.Failed+r.Counters.Untried), float64(r.Settings.Connections))
			}},
		lost,
		counter("away", "clients whose connections ended at a proxy and that were not back after 5 s, at the end", func(c *account.Counters) uint64 { return c.Away }),
		counter("proxy_cuts", "connections of ready clients that ended at a proxy", func(c *account.Counters) uint64 { return c.ProxyCut }),
		counter("renewed", "polls that went on over a new connection, the old one having ended with its answer", func(c *account.Counters) uint64 { return c.Renewed }),
		counter("deferred", "answers that told a client to come later", func(c *account.Counters) uint64 { return c.Deferred }),
		counter("errors", "error messages to ready clients", func(c *account.Counters) uint64 { return c.Errors }),
		{Name: "connects_per_second", Unit: UnitRate, About: "while connecting",
			of: func(r *Result) (float64, bool) { return r.Connect.PerSecond, r.Connect.PerSecond > 0 }},
	}
}

func messageFigures() []Figure {
	row := func(name string, unit Unit, about string, of func(*Sent, *account.Counters) float64) Figure {
		return Figure{Name: name, Unit: unit, About: about, of: func(r *Result) (float64, bool) {
			if r.Fanout == nil {
				return 0, false
			}
			return of(r.Fanout, &r.Counters), true
		}}
	}
	counter := func(name, about string, of func(*account.Counters) uint64) Figure {
		return row(name, UnitCount, about, func(_ *Sent, c *account.Counters) float64 { return float64(of(c)) })
	}
	return []Figure{
		row("published", UnitCount, "messages sent", func(f *Sent, _ *account.Counters) float64 { return float64(f.Published) }),
		row("published_per_second", UnitRate, "messages sent", func(f *Sent, _ *account.Counters) float64 { return f.PerSecond }),
		row("delivered", UnitCount, "deliveries, each once", func(f *Sent, _ *account.Counters) float64 { return float64(f.Delivered) }),
		row("delivered_per_second", UnitRate, "deliveries, over the time of publishing or until the last came", func(f *Sent, _ *account.Counters) float64 { return f.DeliveredPS }),
		row("missing", UnitCount, "deliveries that did not come", func(f *Sent, _ *account.Counters) float64 { return float64(f.Missing) }),
		{Name: "missing_share", Unit: UnitPercent, About: "missing, of those expected",
			of: func(r *Result) (float64, bool) { return share(float64(r.sent().Missing), float64(r.sent().Expected)) }},
		row("duplicated", UnitCount, "messages that came more than once", func(f *Sent, _ *account.Counters) float64 { return float64(f.Duplicated) }),
		row("replayed", UnitCount, "messages that came again to event streams of several channels that came back", func(f *Sent, _ *account.Counters) float64 { return float64(f.Replayed) }),
		row("reordered", UnitCount, "messages that came after a later one of their channel", func(f *Sent, _ *account.Counters) float64 { return float64(f.Reordered) }),
		counter("damaged", "messages that came changed, or in no known form", func(c *account.Counters) uint64 { return c.Damaged + c.Unknown }),
		counter("gaps", "gaps that the gateway announced", func(c *account.Counters) uint64 { return c.Gaps }),
		row("late", UnitCount, "messages sent over 5 ms after they were due", func(f *Sent, _ *account.Counters) float64 { return float64(f.Late) }),
		row("skipped", UnitCount, "messages not sent, too late", func(f *Sent, _ *account.Counters) float64 { return float64(f.Skipped) }),
		row("not_sent", UnitCount, "messages not sent after an error, or refused by Redis", func(f *Sent, _ *account.Counters) float64 { return float64(f.NotSent + f.Refused) }),
		row("fate_unknown", UnitCount, "messages that Redis did not answer for", func(f *Sent, _ *account.Counters) float64 { return float64(f.FateUnknown) }),
	}
}

func serverFigures() []Figure {
	row := func(name string, unit Unit, about string, of func(*Server, *Result) (float64, bool)) Figure {
		return Figure{Name: name, Unit: unit, About: about, of: func(r *Result) (float64, bool) {
			if r.Server == nil || r.Server.Unread {
				return 0, false
			}
			return of(r.Server, r)
		}}
	}
	// A restart makes another process, whose growth nobody has seen.
	ofOne := func(name string, unit Unit, about string, of func(*Server, *Result) (float64, bool)) Figure {
		return row(name, unit, about, func(s *Server, r *Result) (float64, bool) {
			v, ok := of(s, r)
			return v, ok && !s.Restarted
		})
	}
	perConn := ofOne("rss_per_conn", UnitBytes, "growth of the server's resident memory for each connection",
		func(s *Server, r *Result) (float64, bool) { return s.RSSPerConnection, r.connected() })
	perConn.live = func(w *Watch) (float64, bool) {
		// The first connections carry what a process needs once.
		s := &w.sample
		return s.RSSPerConnection, s.Server != nil && s.Open > 0 && s.Phase != PhaseConnect
	}
	rss := row("rss", UnitBytes, "the server's resident memory at the end, clients connected",
		func(s *Server, _ *Result) (float64, bool) { return float64(s.After.RSS), s.After.RSS > 0 })
	rss.live = func(w *Watch) (float64, bool) {
		if w.sample.Server == nil {
			return 0, false
		}
		return float64(w.sample.Server.RSS), true
	}
	return []Figure{
		perConn,
		ofOne("anon_per_conn", UnitBytes, "the anonymous part of it",
			func(s *Server, r *Result) (float64, bool) { return s.AnonPerConnection, r.connected() }),
		rss,
		ofOne("heap_per_conn", UnitBytes, "growth of its heap in use for each connection; with --admin",
			func(s *Server, _ *Result) (float64, bool) { return s.HeapPerConnection, s.MetricsAfter != nil }),
		ofOne("cpu_per_handshake", UnitDuration, "the server's CPU time for a handshake",
			func(s *Server, r *Result) (float64, bool) {
				return s.CPUPerHandshake * 1e3, r.Counters.Established > 0
			}),
		ofOne("cpu_per_delivery", UnitDuration, "the server's CPU time for a delivery",
			func(s *Server, r *Result) (float64, bool) {
				return s.CPUPerDelivery * 1e3, r.sent().Delivered > 0 && s.CPUPerDelivery > 0
			}),
		ofOne("cpu_idle", UnitPercent, "of one CPU that the server uses while the clients are idle",
			func(s *Server, r *Result) (float64, bool) { return s.CPUIdle, r.Idle != nil }),
		ofOne("cpu_publishing", UnitCPUs, "CPUs that the server uses while messages are published",
			func(s *Server, r *Result) (float64, bool) {
				return s.CPUPublishing, s.CPUPublishing > 0 || r.sent().ServerCPU != nil
			}),
	}
}

func selfFigures() []Figure {
	return []Figure{
		{Name: "self_busy", Unit: UnitPercent, About: "of the time that loadgen's busiest loop worked",
			of: func(r *Result) (float64, bool) {
				e := r.Connect.Effort
				switch {
				case r.Fanout != nil:
					e = r.Fanout.Effort
				case r.Idle != nil:
					e = r.Idle.Effort
				}
				return e.Busy * 100, e.Seconds > 0
			}},
	}
}

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

// unmeasured are the figures that a foreign server has not, and why.
var unmeasured = []struct {
	figures []string
	why     string
}{
	{[]string{"ready", "storm_ready", "churn_ready"}, "it confirms no subscription in a way that loadgen knows"},
	{[]string{"heap_per_conn"}, "it has no metrics that loadgen knows"},
	{[]string{"gaps", "errors", "replayed"}, "it tells of none in a way that loadgen knows"},
}

// NotMeasured lists them for a result.
func NotMeasured() (all []string) {
	for _, x := range unmeasured {
		text := x.figures[0] + ": " + x.why
		if others := x.figures[1:]; len(others) > 0 {
			text += "; nor " + strings.Join(others, ", ")
		}
		all = append(all, text)
	}
	return all
}

// told reports whether the server tells what a figure needs.
func (r *Result) told(figure string) bool {
	if !r.Settings.Foreign {
		return true
	}
	name, _, _ := strings.Cut(figure, ".")
	for _, x := range unmeasured {
		if slices.Contains(x.figures, name) {
			return false
		}
	}
	return true
}
