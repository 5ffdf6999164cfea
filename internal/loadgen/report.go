package loadgen

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/pushgate/pushgate/internal/units"
)

// WriteJSON writes the result for programs.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// table gathers a report's lines.
type table struct{ strings.Builder }

func (t *table) title(s string) { fmt.Fprintf(t, "\n%s\n", s) }

func (t *table) row(name, format string, args ...any) {
	fmt.Fprintf(t, "  %-28s %s\n", name, fmt.Sprintf(format, args...))
}

func (t *table) latencyHead() {
	fmt.Fprintf(t, "  %-28s %10s %10s %10s %10s %10s %10s\n", "", "p50", "p90", "p99", "p99.9", "max", "mean")
}

func (t *table) latency(name string, l Latency) {
	if l.Count == 0 {
		return
	}
	fmt.Fprintf(t, "  %-28s %10s %10s %10s %10s %10s %10s\n", name,
		short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max), short(int64(l.Mean)))
}

func (t *table) tally(name string, n tally) {
	for _, why := range byCount(n) {
		t.row(name, "%d  %s", n[why], why)
		name = ""
	}
}

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var t table
	s := &r.Settings
	from := ""
	if s.Sources > 0 { // none to a unix socket
		from = fmt.Sprintf(" %d source address(es),", s.Sources)
	}
	fmt.Fprintf(&t, "loadgen %s  %d clients over %s to %s,%s channels %s\n", r.Scenario, s.Connections, s.Transport, s.URL, from, s.Channels)
	fmt.Fprintf(&t, "%s  Linux %s, %d CPUs, %s, %s\n", r.Started, r.Host.Kernel, r.Host.CPUs, units.Bytes(float64(r.Host.Memory)), r.Host.Go)
	r.clients(&t)
	r.addresses(&t)
	r.scenarios(&t)
	if r.Fanout != nil {
		r.Fanout.write(&t, &r.Counters)
	}
	r.latencies(&t)
	if r.Server != nil {
		r.server(&t)
	}
	r.kernel(&t)
	r.agents(&t)
	r.self(&t)
	r.unmeasured(&t)
	r.verdicts(&t)
	for _, x := range r.Warnings {
		fmt.Fprintf(&t, "\nWARNING: %s\n", x)
	}
	fmt.Fprintf(&t, "\n%s\n", r.Word())
	if r.Aborted != "" {
		fmt.Fprintf(&t, "  ended early: %s\n", r.Aborted)
	}
	for _, x := range r.Failed {
		fmt.Fprintf(&t, "  %s\n", x)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

func (r *Result) clients(t *table) {
	c := &r.Counters
	t.title("clients")
	t.row("ready", "%d of %d", c.Clients, r.Settings.Connections)
	if r.Partial {
		t.row("these are the last known", "a process that held clients was lost")
	}
	if c.Untried > 0 {
		t.row("not tried", "%d", c.Untried)
	}
	t.tally("failed", r.Failures)
	t.tally("failed to come back", r.Retries)
	t.tally("lost", r.Losses)
	if s := r.Storm; s != nil && s.Lost > 0 {
		t.row("of them to the restart", "%d", s.Lost)
	}
	t.tally("told to come later", r.Deferrals)
	r.proxy(t)
	t.tally("errors", r.Errors)
	t.row("connects", "%.0f /s for %.2f s", r.Connect.PerSecond, r.Connect.Seconds)
	if h := r.Idle; h != nil {
		t.row("held", "%d for %.1f s, %d heartbeats seen", c.Open, h.Seconds, h.Pings)
	}
}

func (f *Sent) write(t *table, c *Counters) {
	t.title("messages")
	kind := "plain"
	if f.Durable {
		kind = "durable"
	}
	t.row("published", "%d of %d %s, %d B each, over %d channel(s), %.0f /s", f.Published, f.Asked, kind, f.Size, f.Channels, f.PerSecond)
	t.row("late, skipped slots", "%d, %d", f.Late, f.Skipped)
	if f.NotSent > 0 {
		t.row("not sent", "%d", f.NotSent)
	}
	if f.Refused > 0 {
		t.row("refused by "+f.by(), "%d", f.Refused)
	}
	if f.FateUnknown > 0 {
		t.row("fate unknown", "%d without an answer of %s; %d of their deliveries did not come", f.FateUnknown, f.by(), f.UnknownMissing)
	}
	t.row("deliveries expected", "%d", f.Expected)
	if f.Unaudited {
		t.row("delivered, missing", "not measured: a process that held clients was lost")
		return
	}
	t.row("delivered", "%d in %.2f s, %.0f /s", f.Delivered, f.Seconds, f.DeliveredPS)
	t.row("missing", "%d", f.Missing)
	if f.MissingCut > 0 {
		t.row("while cut at a proxy", "%d", f.MissingCut)
	}
	if f.ExpectedMoved > 0 {
		t.row("of clients that were away", "%d of %d", f.MissingMoved, f.ExpectedMoved)
	}
	t.row("duplicated", "%d", f.Duplicated)
	if f.Replayed > 0 {
		t.row("replayed", "%d to streams of several channels that came back, from ten seconds before", f.Replayed)
	}
	t.row("out of order", "%d", f.Reordered)
	for _, x := range []struct {
		name string
		n    uint64
	}{{"wrong client", c.Misdirected}, {"damaged", c.Damaged}, {"unknown", c.Unknown}, {"of other runs", c.Foreign}, {"gaps announced", c.Gaps}, {"byes", c.Byes}} {
		if x.n > 0 {
			t.row(x.name, "%d", x.n)
		}
	}
	for i, x := range f.Examples {
		name := ""
		if i == 0 {
			name = "missing, for example"
		}
		t.row(name, "%s", x)
	}
}

// by names the way of publishing: Redis, HTTP or a command.
func (f *Sent) by() string { return cmp.Or(f.Via, "Redis") }

// PublishTitle names the time that publishing took.
func (f *Sent) PublishTitle() string {
	switch f.by() {
	case "--publish-url":
		return "publish by URL"
	case "--publish-cmd":
		return "publish by command"
	}
	return "publish to Redis"
}

// unmeasured writes which figures the server does not tell.
func (r *Result) unmeasured(t *table) {
	if len(r.NotMeasured) == 0 {
		return
	}
	t.title("not measured of this server, which is no pushgate")
	for _, line := range r.NotMeasured {
		what, why, _ := strings.Cut(line, ": ")
		t.row(what, "%s", why)
	}
}

func (r *Result) latencies(t *table) {
	if r.Connect.Handshake.Count == 0 {
		return
	}
	t.title("latency")
	t.latencyHead()
	t.latency("handshake", r.Connect.Handshake)
	t.latency("handshake from due time", r.Connect.HandshakeDue)
	t.latency("ready", r.Connect.Ready)
	if f := r.Fanout; f != nil {
		t.latency("delivery from intended time", f.Due)
		t.latency("delivery from send time", f.Real)
		t.latency("send to last subscriber", f.Completion)
		t.latency(f.PublishTitle()+", a batch", f.Publish)
	}
}

func (r *Result) server(t *table) {
	s := r.Server
	t.title(fmt.Sprintf("server (%s, process %d)", s.Name, s.PID))
	rss := func(p ProcessSample) string {
		if p.RSS == 0 {
			return "not read"
		}
		return units.Bytes(float64(p.RSS))
	}
	t.row("RSS", "%s before, %s connected, %s at the end", rss(s.Before), rss(s.Connected), rss(s.After))
	if s.Unread {
		t.row("ended", "its process could not be read any more: nothing was measured")
		return
	}
	if s.Restarted {
		t.row("restarted", "the figures before are another process's")
	} else {
		s.perEach(t, r)
	}
	t.row("threads, descriptors", "%d, %d", s.After.Threads, s.After.Descriptors)
	if n := s.After.Processes; n > 1 {
		t.row("processes", "%d, of which these are the sums; shared memory is counted once", n)
	}
}

// perEach writes what a connection, a handshake and a delivery cost.
func (s *Server) perEach(t *table, r *Result) {
	figure := func(name string) (float64, bool) {
		f, _ := FindFigure(name)
		return f.Of(r)
	}
	if each, known := figure("rss_per_conn"); known {
		t.row("RSS per connection", "%.0f B, of it %.0f B anonymous (grown in this run: start the server afresh to see all of it)", each, s.AnonPerConnection)
	} else {
		t.row("RSS per connection", notSeen)
	}
	if s.RSSGrowth != 0 {
		t.row("RSS growth, upper half", "%.0f B per connection", s.RSSGrowth)
	}
	if m := s.MetricsAfter; m != nil && s.MetricsBefore != nil {
		t.row("heap in use", "%s before, %s at the end: %.0f B per connection; %d goroutines",
			units.Bytes(float64(s.MetricsBefore.HeapInUse)), units.Bytes(float64(m.HeapInUse)), s.HeapPerConnection, m.Goroutines)
	}
	for _, x := range []struct {
		name, figure, format string
		scale                float64
		wanted               bool
	}{
		{"CPU per handshake", "cpu_per_handshake", "%.1f us", 1e-3, true},
		{"CPU while idle", "cpu_idle", "%.1f %% of one CPU", 1, r.Idle != nil},
		{"CPU per delivery", "cpu_per_delivery", "%.2f us", 1e-3, r.Fanout != nil},
		{"CPU while publishing", "cpu_publishing", "%.0f %% of one CPU", 100, r.Fanout != nil},
	} {
		switch v, known := figure(x.figure); {
		case !x.wanted:
		case known:
			t.row(x.name, x.format, v*x.scale)
		default:
			t.row(x.name, notSeen)
		}
	}
}

// notSeen stands for a figure that the run had nothing to take it from.
const notSeen = "not measured"

func (r *Result) self(t *table) {
	t.title("loadgen itself")
	t.row("connecting", "%s", r.Connect.Effort)
	if n := r.Counters.TLSHandshakes; n > 0 {
		t.row("TLS handshakes", "%d, which took its loops %.0f us each; none was resumed", n, float64(r.Counters.TLSTime)/float64(n)/1e3)
	}
	if r.Idle != nil {
		t.row("holding", "%s", r.Idle.Effort)
	}
	if r.Fanout != nil {
		t.row("publishing", "%s", r.Fanout.Effort)
	}
}

func (e Effort) String() string {
	return fmt.Sprintf("%.2f s CPU in %.2f s, %.0f %% of its share, busiest loop %.0f %%", e.CPU, e.Seconds, e.Share*100, e.Busy*100)
}
