package loadgen

import (
	"fmt"

	"github.com/pushgate/pushgate/internal/units"
)

// kernel writes what the kernel holds for the connections.
func (r *Result) kernel(t *table) {
	k := r.Kernel
	if k == nil {
		return
	}
	t.title("kernel of this host (all programs; of a gateway here, both ends of each connection)")
	for _, x := range []struct {
		name, figure  string
		before, after uint64
	}{
		{"slab", "slab_per_conn", k.Before.Slab, k.After.Slab},
		{"TCP buffers", "tcp_memory_per_conn", k.Before.TCPMemory, k.After.TCPMemory},
	} {
		each := ""
		f, _ := FindFigure(x.figure)
		if v, known := f.Of(r); known {
			each = fmt.Sprintf(": %.0f B per connection", v)
		}
		t.row(x.name, "%s before, %s at the end%s", units.Bytes(float64(x.before)), units.Bytes(float64(x.after)), each)
	}
	t.row("listen overflows, drops", "%d, %d", k.After.Overflows, k.After.Drops)
}

// agents writes who held the clients, and how their clocks were.
func (r *Result) agents(t *table) {
	if len(r.Agents) == 0 {
		return
	}
	t.title("processes that held the clients")
	for _, a := range r.Agents {
		what := "within its doubt"
		if a.Corrected {
			what = "taken off"
		}
		t.row(a.Name, "%d clients, clock %+.3f ms +-%.3f ms (%s), drift %+.3f ms", a.Clients, a.Offset, a.Uncertainty, what, a.Drift)
	}
}

// scenarios writes what the scenarios measured beyond clients and messages.
func (r *Result) scenarios(t *table) {
	r.steps(t)
	if r.Storm != nil {
		r.Storm.write(t)
	}
	if r.Churn != nil {
		r.Churn.write(t)
	}
	if r.Slow != nil {
		r.Slow.write(t)
	}
}

func (r *Result) steps(t *table) {
	if len(r.Steps) == 0 {
		return
	}
	t.title("stages")
	fmt.Fprintf(t, "  %-16s %8s %8s %7s %8s %6s %10s %10s %12s %6s\n",
		"", "clients", "seconds", "failed", "rate", "late", "p99", "from due", "server RSS", "CPU")
	for _, x := range r.Steps {
		row := [...]string{"", "", "", "", "", ""} // rate, late, p99, from due, RSS, CPU
		if x.Changed > 0 {
			row[0], row[1] = fmt.Sprintf("%.0f/s", x.PerSecond), fmt.Sprint(x.Late)
		}
		if x.Handshake.Count > 0 {
			row[2] = short(x.Handshake.P99)
		}
		if x.HandshakeDue.Count > 0 {
			row[3] = short(x.HandshakeDue.P99)
		}
		if f := x.Fanout; f != nil {
			row[0], row[1] = fmt.Sprintf("%.0f/s", f.DeliveredPS), fmt.Sprint(f.Late)
			row[2], row[3] = short(f.Real.P99), short(f.Due.P99)
		}
		if x.Server != nil {
			row[4], row[5] = units.Bytes(float64(x.Server.RSS)), fmt.Sprintf("%.0f %%", x.CPU*100)
		}
		fmt.Fprintf(t, "  %-16s %8d %8.1f %7d %8s %6s %10s %10s %12s %6s\n",
			x.Stage, x.Clients, x.Seconds, x.Failed, row[0], row[1], row[2], row[3], row[4], row[5])
	}
	fmt.Fprintf(t, "  rate and p99: of handshakes and closes in a ramp, of deliveries in a hold with messages\n")
}

func (x *Storm) write(t *table) {
	t.title("storm")
	if x.Kind == "restart" {
		t.row("the gateway was restarted", "%d clients lost it", x.Clients)
		t.row("the old process was gone", "after %.2f s", x.Stopped)
		t.row("the new one took connections", "after %.2f s", x.Started)
	} else {
		t.row("cut without a word", "%d clients", x.Clients)
	}
	for _, b := range [...]struct {
		share string
		at    float64
	}{{"50 %", x.Back50}, {"95 %", x.Back95}, {"100 %", x.Back100}} {
		if b.at < 0 {
			t.row(b.share+" back", "never")
		} else {
			t.row(b.share+" back", "after %.2f s", b.at)
		}
	}
	t.row("attempts", "%d, %d of them failed; %d came back", x.Attempts, x.Failed, x.Returned)
	resume := "without positions"
	if x.Resume {
		resume = "with their positions"
	}
	t.row("they came", "%s, each after a wait of up to %.3g s, doubled by a failure up to %.3g s, unless the gateway named a time", resume, x.Backoff, x.BackoffMost)
	t.latencyHead()
	t.latency("handshake of the storm", x.Handshake)
	t.latency("ready", x.Ready)
}

func (x *Churn) write(t *table) {
	t.title("churn")
	t.row("cycles", "%d of %d in %.1f s, %.1f /s by %d clients", x.Cycles, x.Slots, x.Effort.Seconds, x.PerSecond, x.Clients)
	t.row("late, skipped slots", "%d, %d", x.Late, x.Skipped)
	t.row("failed", "%d", x.Failed)
	if x.Before != nil && x.After != nil {
		if x.CPUPerCycle > 0 {
			t.row("server CPU per cycle", "%.1f us", x.CPUPerCycle)
		}
		t.row("server before and after", "RSS %s and %s, descriptors %d and %d",
			units.Bytes(float64(x.Before.RSS)), units.Bytes(float64(x.After.RSS)), x.Before.Descriptors, x.After.Descriptors)
	}
	t.latencyHead()
	t.latency("handshake", x.Handshake)
	t.latency("from the close's due time", x.HandshakeDue)
	t.latency("ready", x.Ready)
}

func (x *Slow) write(t *table) {
	t.title("slow clients")
	reads := "nothing"
	if x.Read > 0 {
		reads = fmt.Sprintf("%d B/s", x.Read)
	}
	t.row("slow", "%d clients, each reads %s", x.Clients, reads)
	t.row("closed by the server", "%d", x.Ended)
	t.tally("", x.Closes)
	if x.Before != nil && x.After != nil {
		each := ""
		if x.Baseline != nil {
			each = fmt.Sprintf(": %.0f B for each", x.Memory)
		}
		t.row("server RSS", "%s before, at most %s with them%s", units.Bytes(float64(x.Before.RSS)), units.Bytes(float64(x.PeakRSS)), each)
		t.row("TCP buffers of this host", "at most %s", units.Bytes(float64(x.PeakTCP)))
	}
	if x.P99Ratio > 0 {
		t.row("p99 of the healthy clients", "%.2f times the baseline", x.P99Ratio)
	}
	t.latencyHead()
	if x.Baseline != nil {
		t.latency("healthy, all reading", x.Baseline.Due)
	}
	if x.Loaded != nil {
		t.latency("healthy, with slow ones", x.Loaded.Due)
	}
}
