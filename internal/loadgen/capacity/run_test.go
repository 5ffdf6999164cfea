package capacity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
)

// scriptedSteps is a gateway whose costs are known: the fits must find them
// again.
type scriptedSteps struct {
	carries  int     // connections; more fail
	most     float64 // deliveries per second; more are slow
	c        Config
	measured []string
	closed   bool
	noKernel bool
	stopAt   int // measurements after which the run is interrupted
	cancel   context.CancelFunc
}

// scriptedHint is the hint of a run against a gateway that is full.
const scriptedHint = "HTTP 503: see limits.connections"

const (
	scriptedBase = 20 << 20 // bytes
	scriptedEach = 250.0    // bytes a connection
	scriptedBeat = 12e-6    // CPU seconds a cycle
	scriptedSend = 5e-6     // CPU seconds a delivery
)

func (s *scriptedSteps) count(format string, args ...any) error {
	s.measured = append(s.measured, fmt.Sprintf(format, args...))
	if s.stopAt > 0 && len(s.measured) > s.stopAt {
		s.cancel()
		return context.Canceled
	}
	return nil
}

func (s *scriptedSteps) connections(_ context.Context, n int) (Step, error) {
	if err := s.count("%d", n); err != nil {
		return Step{}, err
	}
	kernel := 8500 * float64(n)
	pings := float64(n) / 2
	step := Step{Connections: n, RSS: scriptedBase + scriptedEach*float64(n), Kernel: &kernel, Pings: pings,
		IdleCPUs: 0.01 + scriptedBeat*pings, Handshake: 20, ConnectRate: 10000, Good: n <= s.carries}
	if s.noKernel {
		step.Kernel = nil
	}
	if !step.Good {
		step.SLOs = []result.Verdict{{SLO: "failed==0", Measured: true, Unit: result.UnitCount, Value: 9}}
		step.Failed, step.Hint = []string{"some did not connect", scriptedHint}, scriptedHint
	}
	return step, nil
}

func (s *scriptedSteps) deliveries(_ context.Context, rate float64) (Step, error) {
	if err := s.count("%.0f/s", rate); err != nil {
		return Step{}, err
	}
	d := rate * float64(s.c.Subscribers)
	step := Step{Connections: s.c.Subscribers, Rate: rate, Delivered: d, CPUs: 0.03 + scriptedSend*d, Bytes: 250, Good: d <= s.most}
	if !step.Good {
		step.SLOs = []result.Verdict{{SLO: "delivery.p99<1s", Measured: true, Unit: result.UnitDuration, Value: 2e9}}
	}
	return step, nil
}

func (s *scriptedSteps) describe(o *Outcome) { o.Server = "scripted" }
func (s *scriptedSteps) close()              { s.closed = true }

// box is a host that needs two knobs turned on the way to a million.
func box() preflight.Env {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return preflight.Env{
		FS: fstest.MapFS{
			"proc/sys/fs/nr_open":            file("1073741816"),
			"proc/sys/fs/file-max":           file("9223372036854775807"),
			"proc/sys/net/core/somaxconn":    file("4096"),
			"proc/meminfo":                   file("MemAvailable:    2097152 kB\n"),
			"proc/sys/net/ipv4/tcp_mem":      file("9000000 10000000 12000000"),
			"proc/sys/net/ipv4/tcp_rmem":     file("4096 131072 6291456"),
			"proc/sys/net/ipv4/tcp_tw_reuse": file("2"),
		},
		Descriptors: func() (uint64, uint64, error) { return 1024, 2_000_000, nil },
	}
}

func scriptedConfig() Config {
	c := DefaultConfig()
	c.Most, c.Steps, c.Subscribers, c.MostRate = 10000, 5, 1000, 64000
	c.cpus, c.portsEach = 2, 28232
	return c
}

func TestRun(t *testing.T) {
	c := scriptedConfig()
	c.Verify = 19000
	s := &scriptedSteps{carries: 1 << 30, most: 1e9, c: c}
	o, err := run(t.Context(), c, box(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"2000", "4000", "6000", "8000", "10000", "2/s", "4/s", "8/s", "16/s", "32/s", "64/s", "19000"}
	if !slices.Equal(s.measured, want) || !s.closed || !o.Good() {
		t.Errorf("measured %q, want %q; closed %v; %q", s.measured, want, s.closed, o.Failed)
	}
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6*math.Abs(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	near("a connection", o.Fits.RSS.Slope, scriptedEach)
	near("the base", o.Fits.RSS.Base, scriptedBase)
	near("a heartbeat", o.Fits.Heartbeat.Slope, scriptedBeat)
	near("a delivery", o.Fits.Delivery.Slope, scriptedSend)
	near("predicted", o.Verified.Predicted, o.Verified.Measured)

	items := map[string]struct {
		value  float64
		basis  Basis
		factor float64
	}{
		"memory, the gateway's":  {scriptedBase + scriptedEach*1e6, Extrapolated, 1e6 / 19000.},
		"memory, the kernel's":   {4250e6, Extrapolated, 1e6 / 19000.},
		"memory, both":           {scriptedBase + (scriptedEach+4250)*1e6, Extrapolated, 1e6 / 19000.},
		"file descriptors":       {1000512, Computed, 0},
		"source addresses":       {36, Computed, 0},
		"CPU for heartbeats":     {scriptedBeat * 40000, Extrapolated, 40000 / 9500.},
		"CPU for messages":       {scriptedSend * 1e6 / 60, Measured, 1},
		"CPU when all come back": {20e-6 * 1e6 / 30, Extrapolated, 1e6 / 30 / 10000},
		"network, out":           {8 * (40000*(2+66+66) + 1e6/60*(250+66)), Computed, 0},
		"network, in":            {8 * (40000*(6+66) + 1e6/60*66), Computed, 0},
	}
	for _, i := range o.Bill.Items {
		w, ok := items[i.Name]
		if !ok {
			t.Errorf("not expected: %+v", i)
			continue
		}
		delete(items, i.Name)
		near(i.Name, i.Value, w.value)
		near(i.Name+", factor", i.Factor, w.factor)
		if i.Basis != w.basis {
			t.Errorf("%s: %s, want %s", i.Name, i.Basis, w.basis)
		}
	}
	if len(items) > 0 {
		t.Errorf("not on the bill: %v", items)
	}
	// 4096 reconnect each second within 30 s; 2 GiB hold 64 MiB and 4346 B each.
	want = []string{"net.core.somaxconn 122880", fmt.Sprintf("MemAvailable %d", (2<<30-64<<20)/(4096+250))}
	var limits []string
	for _, l := range o.Bill.Limits {
		limits = append(limits, fmt.Sprintf("%s %d", l.Name, l.Carries))
	}
	if !slices.Equal(limits, want) {
		t.Errorf("limits %q, want %q", limits, want)
	}
}

// TestRunBreaks: a gateway that carries less than the steps ask for is found
// out to a sixteenth of a step, and the line is drawn through the good ones.
func TestRunBreaks(t *testing.T) {
	c := scriptedConfig()
	s := &scriptedSteps{carries: 7100, most: 20500, c: c}
	o, err := run(t.Context(), c, box(), s)
	if err != nil {
		t.Fatal(err)
	}
	if b := o.ConnectionsBreak; b == nil || b.Good > 7100 || b.Bad <= 7100 || b.Bad-b.Good > 500 || b.Why != "some did not connect" || b.Hint != scriptedHint {
		t.Errorf("connections break at %+v", b)
	}
	if b := o.DeliveriesBreak; b == nil || b.Good > 20.5 || b.Bad <= 20.5 || b.Bad-b.Good > 1 || !strings.Contains(b.Why, "delivery.p99<1s: 2.00 s") {
		t.Errorf("deliveries break at %+v", b)
	}
	for _, p := range o.Fits.RSS.Points {
		if p.X > 7100 {
			t.Errorf("a bad step is in the fit: %v", p)
		}
	}
	if len(o.Fits.RSS.Points) < 4 || math.Abs(o.Fits.RSS.Slope-scriptedEach) > 1e-6 {
		t.Errorf("fit %+v", o.Fits.RSS)
	}
	// Where deliveries break, the bill's load of them bounds the clients.
	o.DeliveriesBreak.Good, c.Every = 20, 10*time.Second
	if all := o.breaks(c); len(all) != 2 || all[0].Carries != 7000 || all[1].Carries != 200_000 {
		t.Errorf("limits %+v", all)
	}
	var text bytes.Buffer
	if err := o.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"breaks between 7", " us  some did not connect", " %  delivery.p99<1s", "THE BILL FOR 1000000", "extrapolated x 1",
		"THE FIRST LIMIT: break, measured, at 7000 connections\n  some did not connect\n  " + scriptedHint + "\nthen\n", "net.core.somaxconn  ", "sudo sysctl -w net.core.somaxconn="} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, text.String())
		}
	}
}

// With TLS a heartbeat's frames are records, and the bill says whose handshakes it counts.
func TestBillWithTLS(t *testing.T) {
	c := scriptedConfig()
	c.Run.URL = "wss://127.0.0.1:8443"
	s := &scriptedSteps{carries: 1 << 30, most: 1e9, c: c}
	o, err := run(t.Context(), c, box(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"network, out": 8 * (40000*(24+66+66) + 1e6/60*(250+66)), "network, in": 8 * (40000*(28+66) + 1e6/60*66)}
	for _, i := range o.Bill.Items {
		if w, ok := want[i.Name]; ok && math.Abs(i.Value-w) > 1 {
			t.Errorf("%s: %f, want %f", i.Name, i.Value, w)
		}
		delete(want, i.Name)
	}
	if len(want) > 0 {
		t.Errorf("not on the bill: %v", want)
	}
	var text bytes.Buffer
	if err := o.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{", over ws with TLS\n", "20 us a handshake with TLS, ", "with TLS, TCP/IP and Ethernet"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, text.String())
		}
	}
}

// A bill says where a line of it is another transport's, or mostly a table's.
func TestBillSays(t *testing.T) {
	for transport, want := range map[plan.Transport]string{plan.WebSocket: "", plan.SSE: "more than a stream's", plan.Poll: "the request after each message comes on top"} {
		c := scriptedConfig()
		c.Run.Transport = transport
		s := &scriptedSteps{carries: 1 << 30, most: 1e9, c: c, noKernel: true}
		o, err := run(t.Context(), c, box(), s)
		if err != nil {
			t.Fatal(err)
		}
		how, both := "", Basis("")
		for _, i := range o.Bill.Items {
			switch i.Name {
			case "network, in":
				how = i.How
			case "memory, both":
				both = i.Basis
			}
		}
		if (want == "") != !strings.Contains(how, "WebSocket") || !strings.Contains(how, want) {
			t.Errorf("%s: network in: %s", transport, how)
		}
		if both != Tabulated {
			t.Errorf("%s: memory, both: %s", transport, both)
		}
	}
}

func TestRunInterrupted(t *testing.T) {
	for name, tt := range map[string]struct {
		after int
		bill  bool
	}{"at once": {0, false}, "after two": {2, false}, "after four": {4, true}, "in the deliveries": {7, true}} {
		t.Run(name, func(t *testing.T) {
			c := scriptedConfig()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := &scriptedSteps{carries: 1 << 30, most: 1e9, c: c, stopAt: tt.after, cancel: cancel}
			if tt.after == 0 {
				s.stopAt, s.measured = 1, []string{""}
			}
			o, err := run(ctx, c, box(), s)
			if err != nil {
				t.Fatal(err)
			}
			if !o.Interrupted || o.Good() || (o.Bill != nil) != tt.bill || !s.closed {
				t.Errorf("interrupted %v, good %v, bill %v, closed %v", o.Interrupted, o.Good(), o.Bill != nil, s.closed)
			}
			if err := o.WriteText(new(bytes.Buffer)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRunCanNotBegin(t *testing.T) {
	c := scriptedConfig()
	c.Run.ServerCmd = "/no/such/gateway"
	_, err := Run(t.Context(), c, box(), func(string) {})
	if err == nil {
		t.Fatal("no error")
	}
	c.Target, c.Steps, c.Hold, c.Beat, c.Run.Size = 0, 1, 0, 1, 1
	_, err = Run(t.Context(), c, box(), func(string) {})
	for _, want := range []string{"--target 0", "--steps 1", "--hold 0s", "--test-heartbeat 1ns", "--size 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't say %q", err, want)
		}
	}
	if usage := (*plan.UsageError)(nil); !errors.As(err, &usage) {
		t.Errorf("%T", err)
	}
}

// TestFitLower leaves out where deliveries get cheaper under load.
func TestFitLower(t *testing.T) {
	points := []Point{{200e3, 0.55}, {2e3, 0.04}, {4e3, 0.05}, {8e3, 0.07}, {16e3, 0.11}, {32e3, 0.19}, {64e3, 0.35}, {128e3, 0.4}}
	f := fitLower(points)
	if f == nil || largestX(f.Points) != 64e3 || math.Abs(f.Slope-5e-6) > 1e-7 {
		t.Errorf("got %+v", f)
	}
	if points[0].X != 200e3 {
		t.Error("the caller's points were put in another order")
	}
}

func TestLevels(t *testing.T) {
	c := scriptedConfig()
	c.Most, c.Steps = 3, 5
	if got := connectionLevels(c); !slices.Equal(got, []float64{1, 2, 3}) {
		t.Errorf("connections %v", got)
	}
	c.Subscribers, c.MostRate = 3000, 10000
	if got := deliveryLevels(c); !slices.Equal(got, []float64{1, 3}) {
		t.Errorf("deliveries %v", got)
	}
	// The defaults on a host with few descriptors.
	c = DefaultConfig()
	env := box()
	env.Descriptors = func() (uint64, uint64, error) { return 1024, 4096, nil }
	c.fill(env)
	if c.Most != 4096-2*preflight.DescriptorReserve || c.Subscribers != 2000 {
		t.Errorf("filled to %+v", c)
	}
}

func TestLimitOfTheCPU(t *testing.T) {
	c := scriptedConfig()
	c.Every = time.Second
	s := &scriptedSteps{carries: 1 << 30, most: 1e9, c: c}
	o, err := run(t.Context(), c, box(), s)
	if err != nil {
		t.Fatal(err)
	}
	each := scriptedBeat/c.Heartbeat.Seconds() + scriptedSend
	i := slices.IndexFunc(o.Bill.Limits, func(l Limit) bool { return l.Name == "CPU" })
	if i < 0 || math.Abs(float64(o.Bill.Limits[i].Carries)-2/each) > 2 {
		t.Errorf("limits %+v, want the CPU at %.0f", o.Bill.Limits, 2/each)
	}
}
