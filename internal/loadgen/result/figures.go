package result

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// Unit is the unit of a figure, and of an SLO's limit.
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
	// live returns the figure so far; nil where it is known only at the end of a run.
	live func(*Watch) (float64, bool)
}

// Of returns the figure's value in a run; false where it was not measured.
func (f Figure) Of(r *Result) (float64, bool) {
	if r.Partial && !slices.Contains(withoutClients, f.Name) && !strings.HasPrefix(f.Name, "publish.") || !r.told(f.Name) {
		return 0, false
	}
	return f.of(r)
}

// withoutClients are the figures that are known even where a process that held
// clients was lost.
var withoutClients = []string{"published", "published_per_second", "late", "skipped", "not_sent", "fate_unknown", "rss", "listen_overflows"}

// figure makes one that stands in the result's JSON at a path; it was measured
// where all of the path is there.
func figure(name string, unit Unit, path, about string) Figure {
	return computed(name, unit, about, func(r *Result) (float64, bool) {
		return Number(r, path)
	})
}

func computed(name string, unit Unit, about string, of func(*Result) (float64, bool)) Figure {
	return Figure{Name: name, Unit: unit, About: about, of: of}
}

// Number returns a number of a Result or a Sample by its names in the JSON, or the sum of
// several such as "counters.failed + counters.untried"; false where there is none.
func Number(of any, paths string) (n float64, ok bool) {
	for path := range strings.SplitSeq(paths, " + ") {
		v, ok := find(of, path)
		if !ok {
			return 0, false
		}
		n += v.Convert(reflect.TypeFor[float64]()).Float()
	}
	return n, true
}

// find finds a part of a struct by its names in the JSON.
func find(of any, path string) (v reflect.Value, ok bool) {
	v = reflect.ValueOf(of).Elem()
	for name := range strings.SplitSeq(path, ".") {
		t, i := v.Type(), 0
		for tag := ""; tag != name; i++ {
			tag, _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
		}
		v = v.Field(i - 1)
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
	}
	return v, true
}

// times has the figure in another unit than the JSON.
func (f Figure) times(factor float64) Figure {
	of := f.of
	f.of = func(r *Result) (float64, bool) { v, ok := of(r); return v * factor, ok }
	return f
}

// positive has the figure measured only where it is above 0.
func (f Figure) positive() Figure {
	of := f.of
	f.of = func(r *Result) (float64, bool) { v, ok := of(r); return v, ok && v > 0 }
	return f
}

// when has the figure measured only where a run has its sources.
func (f Figure) when(known func(*Result) bool) Figure {
	of := f.of
	f.of = func(r *Result) (float64, bool) {
		if !known(r) {
			return 0, false
		}
		return of(r)
	}
	return f
}

// during makes a figure available during a run, from the path in a sample. It has no value in
// samples for which tells is false.
func (f Figure) during(path string, tells func(*Sample) bool) Figure {
	f.live = func(w *Watch) (float64, bool) {
		if !tells(&w.sample) {
			return 0, false
		}
		return Number(&w.sample, path)
	}
	return f
}

func anySample(*Sample) bool { return true }

// connected reports whether there were clients when the cost of each was read: at
// the end, or with stages at their top.
func connected(r *Result) bool {
	return r.Counters.Open > 0 || len(r.Steps) > 0 && r.Counters.Established > 0
}

func published(r *Result) bool { return r.Fanout != nil }
func readable(r *Result) bool  { return r.Server != nil && !r.Server.Unread }

// oneProcess: a restart makes another process, whose growth was not measured.
func oneProcess(r *Result) bool { return readable(r) && !r.Server.Restarted }

// share makes the figure of a part of something, measured where there is something.
func share(name, part, whole, about string) Figure {
	return computed(name, UnitPercent, about, func(r *Result) (float64, bool) {
		p, _ := Number(r, part)
		if w, _ := Number(r, whole); w > 0 {
			return p / w * 100, true
		}
		return 0, false
	})
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

// latency makes the figures of a latency at a path. While a run goes on, those that clients
// record are known.
func latency(name, path, about string) (all []Figure) {
	recorded := slices.Index(account.LatencyNames[:], name)
	for _, q := range quantiles {
		f := computed(name+"."+q.name, UnitDuration, about, func(r *Result) (float64, bool) {
			v, ok := find(r, path)
			if !ok {
				return 0, false
			}
			l := v.Interface().(account.Latency)
			return q.of(l), l.Count > 0
		})
		if recorded >= 0 {
			f.live = func(w *Watch) (float64, bool) {
				l := account.Summarize(w.merged[recorded])
				return q.of(l), l.Count >= q.few
			}
		}
		all = append(all, f)
	}
	return all
}

// Figures lists all figures in the order of the manual.
func Figures() []Figure {
	return slices.Concat(
		latency("handshake", "connect.handshake", "connect to the complete answer"),
		latency("handshake_due", "connect.handshake_from_due", "the same from the intended time of the connect"),
		latency("ready", "connect.ready", "connect to the last subscription confirmed"),
		latency("delivery", "fanout.latency_from_due", "intended send time to receipt"),
		latency("delivery_sent", "fanout.latency_from_sent", "real send time to receipt"),
		latency("completion", "fanout.completion", "send to the last subscriber (without --rate)"),
		latency("publish", "fanout.publish", "one round trip to Redis"),
		latency("storm_handshake", "storm.handshake", "handshakes of clients that come back"),
		latency("storm_ready", "storm.ready", "the same to the last subscription confirmed"),
		latency("churn_handshake", "churn.handshake", "handshakes of clients that come and go"),
		latency("churn_ready", "churn.ready", "the same to the last subscription confirmed"),
		latency("baseline", "slow.baseline.latency_from_due", "deliveries before some clients were slow, from intended time"),
		clientFigures(), messageFigures(), scenarioFigures(), hostFigures(),
	)
}

func clientFigures() []Figure {
	return []Figure{
		computed("clients", UnitCount, "clients that were ready, each once", func(r *Result) (float64, bool) {
			if c := &r.Counters; c.Clients == 0 { // a run of an older version
				return min(float64(c.Ready), float64(r.Settings.Connections)), true
			}
			return float64(r.Counters.Clients), true
		}),
		figure("failed", UnitCount, "counters.failed + counters.untried", "clients that never were ready").during("failed", anySample),
		share("failed_share", "counters.failed + counters.untried", "settings.connections", "failed, of those asked for"),
		// Losses to a storm are separated at the end.
		computed("lost", UnitCount, "clients that were ready and were lost, but not to a restart by the run", func(r *Result) (float64, bool) {
			n := r.Counters.Lost
			if r.Storm != nil {
				n -= min(r.Storm.Lost, n)
			}
			return float64(n), true
		}).during("lost", func(s *Sample) bool { return s.Phase != PhaseStorm && s.Phase != PhaseLeave }),
		figure("away", UnitCount, "counters.away", "clients whose connections ended at a proxy and that were not back after 5 s, at the end"),
		figure("proxy_cuts", UnitCount, "counters.proxy_cut", "connections of ready clients that ended at a proxy"),
		figure("renewed", UnitCount, "counters.renewed", "polls that went on over a new connection, the old one having ended with its answer"),
		figure("deferred", UnitCount, "counters.deferred", "answers that told a client to come later"),
		figure("errors", UnitCount, "counters.errors", "error messages to ready clients"),
		figure("connects_per_second", UnitRate, "connect.per_second", "while connecting").positive(),
	}
}

func messageFigures() []Figure {
	return []Figure{
		figure("published", UnitCount, "fanout.published", "messages sent"),
		figure("published_per_second", UnitRate, "fanout.published_per_second", "messages sent"),
		figure("delivered", UnitCount, "fanout.delivered", "deliveries, each once"),
		figure("delivered_per_second", UnitRate, "fanout.delivered_per_second", "deliveries, over the time of publishing or until the last came"),
		figure("missing", UnitCount, "fanout.missing", "deliveries that did not come"),
		share("missing_share", "fanout.missing", "fanout.expected", "missing, of those expected"),
		figure("duplicated", UnitCount, "fanout.duplicated", "messages that came more than once"),
		figure("replayed", UnitCount, "fanout.replayed", "messages that came again to event streams of several channels that came back"),
		figure("reordered", UnitCount, "fanout.reordered", "messages that came after a later one of their channel"),
		figure("damaged", UnitCount, "counters.damaged + counters.unknown", "messages that came changed, or in no known form").when(published),
		figure("gaps", UnitCount, "counters.gaps", "gaps that the gateway announced").when(published),
		figure("late", UnitCount, "fanout.late", "messages sent over 5 ms after they were due"),
		figure("skipped", UnitCount, "fanout.skipped", "messages not sent, too late"),
		figure("not_sent", UnitCount, "fanout.not_sent + fanout.refused", "messages not sent after an error, or refused by Redis"),
		figure("fate_unknown", UnitCount, "fanout.fate_unknown", "messages that Redis did not answer for"),
	}
}

func scenarioFigures() []Figure {
	// A share that never was back has no time: not measured, so missed.
	back := func(name, path, about string) Figure {
		return figure(name, UnitDuration, path, about).times(float64(time.Second)).positive()
	}
	return []Figure{
		back("back_50", "storm.back_50_seconds", "until half of the cut clients were back"),
		back("back_95", "storm.back_95_seconds", "until 95 % of them were back"),
		back("back_100", "storm.back_100_seconds", "until all of them were back"),
		figure("returned", UnitCount, "storm.returned", "clients that came back"),
		figure("returns_per_second", UnitRate, "storm.returns_per_second", "clients that came back").positive(),
		figure("cycles_per_second", UnitRate, "churn.per_second", "clients closed and ready again"),
		figure("cycles_failed", UnitCount, "churn.failed", "clients closed that did not come back"),
		figure("cycles_skipped", UnitCount, "churn.skipped", "cycles that were due and not begun"),
		figure("cpu_per_cycle", UnitDuration, "churn.server_cpu_per_cycle_us", "the server's CPU time for a client that leaves and comes back").times(1e3).positive(),
		figure("slow_p99_ratio", UnitRatio, "slow.p99_ratio", "p99 of the others with slow clients, over that without").positive(),
		figure("slow_ended", UnitCount, "slow.ended", "slow clients that the server closed"),
		figure("rss_per_slow_client", UnitBytes, "slow.rss_per_slow_client_bytes", "growth of the server's resident memory for each slow client, over the baseline").
			when(func(r *Result) bool {
				s := r.Slow
				return s != nil && s.Baseline != nil && s.Before != nil && s.After != nil
			}),
	}
}

func hostFigures() []Figure {
	each := func(f Figure) Figure { return f.when(oneProcess) }
	return []Figure{
		each(figure("rss_per_conn", UnitBytes, "server.rss_per_connection_bytes", "growth of the server's resident memory for each connection")).when(connected).
			// The first connections carry the costs that a process has once.
			during("rss_per_connection_bytes", func(s *Sample) bool { return s.Server != nil && s.Open > 0 && s.Phase != PhaseConnect }),
		each(figure("anon_per_conn", UnitBytes, "server.rss_anon_per_connection_bytes", "the anonymous part of it")).when(connected),
		figure("rss", UnitBytes, "server.after.rss_bytes", "the server's resident memory at the end, clients connected").when(readable).positive().
			during("server.rss_bytes", anySample),
		each(figure("heap_per_conn", UnitBytes, "server.heap_in_use_per_connection_bytes", "growth of its heap in use for each connection; with --admin").
			when(func(r *Result) bool { return r.Server.MetricsAfter != nil })),
		each(figure("cpu_per_handshake", UnitDuration, "server.cpu_per_handshake_us", "the server's CPU time for a handshake").times(1e3).
			when(func(r *Result) bool { return r.Counters.Established > 0 })),
		each(figure("cpu_per_delivery", UnitDuration, "server.cpu_per_delivery_us", "the server's CPU time for a delivery").times(1e3).positive().
			when(func(r *Result) bool { return r.Fanout != nil && r.Fanout.Delivered > 0 })),
		each(figure("cpu_idle", UnitPercent, "server.cpu_idle_percent", "of one CPU that the server uses while the clients are idle").
			when(func(r *Result) bool { return r.Idle != nil })),
		each(figure("cpu_publishing", UnitCPUs, "server.cpu_publishing_share", "CPUs that the server uses while messages are published").
			when(func(r *Result) bool {
				return r.Server.CPUPublishing > 0 || r.Fanout != nil && r.Fanout.ServerCPU != nil
			})),
		figure("slab_per_conn", UnitBytes, "kernel.slab_per_connection_bytes", "growth of the kernel's slabs for each connection; over loopback, both ends").when(connected),
		figure("tcp_memory_per_conn", UnitBytes, "kernel.tcp_memory_per_connection_bytes", "growth of TCP's buffers for each connection").when(connected),
		figure("listen_overflows", UnitCount, "kernel.after.listen_overflows", "connects that found the accept queue full").when(connected),
		computed("self_busy", UnitPercent, "of the time that loadgen's busiest loop worked", func(r *Result) (float64, bool) {
			e := r.Connect.Effort
			switch {
			case r.Fanout != nil:
				e = r.Fanout.Effort
			case r.Idle != nil:
				e = r.Idle.Effort
			}
			return e.Busy * 100, e.Seconds > 0
		}),
	}
}

// FindFigure looks for a figure by its name.
func FindFigure(name string) (Figure, bool) {
	all := Figures()
	if i := slices.IndexFunc(all, func(f Figure) bool { return f.Name == name }); i >= 0 {
		return all[i], true
	}
	return Figure{}, false
}

// WriteFigures writes the names with their meanings.
func WriteFigures(w io.Writer) error {
	for _, f := range Figures() {
		if _, err := fmt.Fprintf(w, "  %-24s %-10s %s\n", f.Name, f.Unit, f.About); err != nil {
			return err
		}
	}
	return nil
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

// NotMeasured lists the figures that a foreign server has not, for its result.
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

// told reports whether the server reports a figure's sources.
func (r *Result) told(figure string) bool {
	name, _, _ := strings.Cut(figure, ".")
	for _, x := range unmeasured {
		if r.Settings.Foreign && slices.Contains(x.figures, name) {
			return false
		}
	}
	return true
}
