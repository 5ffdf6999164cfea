package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// screen plays the output of a panel on a terminal of a width; it knows the few
// sequences that a panel may use.
type screen struct {
	t      *testing.T
	width  int
	lines  []string
	row    int
	column int
}

func (s *screen) play(text string) {
	s.t.Helper()
	for len(text) > 0 {
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		switch {
		case strings.HasPrefix(text, eraseLine):
			s.lines[s.row], s.column = "", 0
			text = text[len(eraseLine):]
		case strings.HasPrefix(text, eraseDown):
			s.lines = s.lines[:s.row]
			text = text[len(eraseDown):]
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexAny(text, "Am")
			if text[end] == 'A' {
				n := int(text[2] - '0')
				if s.row -= n; s.row < 0 {
					s.t.Fatalf("%d lines up from %d", n, s.row+n)
				}
			}
			text = text[end+1:]
		case text[0] == '\r':
			s.column = 0
			text = text[1:]
		case text[0] == '\n':
			s.row, s.column = s.row+1, 0
			text = text[1:]
		default:
			s.lines[s.row] += text[:1]
			if s.column++; s.column >= s.width {
				s.t.Fatalf("line %d wraps: %q", s.row, s.lines[s.row])
			}
			text = text[1:]
		}
	}
}

func TestPanel(t *testing.T) {
	c := plan.DefaultConfig()
	c.Connections, c.Messages, c.Rate = 1000, 100, 10
	var out bytes.Buffer
	p := NewProgress(&out, "fanout", c, true, func() int { return 100 })
	s := &screen{t: t, width: 100}
	show := func(x result.Sample) string {
		out.Reset()
		p.Show(x)
		s.play(out.String())
		return strings.Join(s.lines, "\n")
	}
	got := show(result.Sample{Seconds: 1, Phase: result.PhaseConnect, Open: 250, Settled: 253, Ready: 250, ReadyPS: 250, Failed: 3,
		Reasons: map[account.Reason]uint64{"reset": 2, "HTTP 503": 1}})
	want := `loadgen fanout  ws://127.0.0.1:8080  connect  1s, about 3s to go
clients   250/1000 (250/s) failed 3
self      0 % CPU, busiest loop 0 %
errors    2  reset
errors    1  HTTP 503`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got = show(result.Sample{Seconds: 5, Phase: result.PhasePublish, PhaseEnds: 12, Open: 1000, Ready: 1000, Settled: 1000, Published: 30, Delivered: 29900, Expected: 30000,
		DeliveredPS: 10000, Due: account.Latency{Count: 1, P50: 1.5e6, P99: 12e6, Max: 250e6}, SelfCPU: 0.3, LoopBusy: 0.95,
		Server: &probe.ProcessSample{RSS: 25 << 20}, RSSPerConnection: 612, ServerCPU: 1.2})
	want = `loadgen fanout  ws://127.0.0.1:8080  publish  5s, about 7s to go
clients   1000/1000
messages  published 30  delivered 29900/30000 (10000/s)
latency   p50 1.5 ms p99 12.0 ms max 250 ms
server    25.0 MiB 120 % CPU, 612 B a client
self      30 % CPU, busiest loop 95 %`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// Less to say than before: nothing of the old lines may be left.
	got = show(result.Sample{Seconds: 6, Phase: result.PhaseLeave})
	if n := strings.Count(got, "\n"); n != 2 || strings.Contains(got, "latency") {
		t.Errorf("%d lines:\n%s", n+1, got)
	}
	p.Done()
	if s.play("$ "); s.lines[len(s.lines)-1] != "$ " || len(s.lines) != 4 {
		t.Errorf("the next prompt is not under the panel:\n%s", strings.Join(s.lines, "\n"))
	}
}

func TestPanelColoursAndWidth(t *testing.T) {
	c := plan.DefaultConfig()
	x := result.Sample{Phase: result.PhaseHold, Open: 5, Lost: 7, Reasons: map[account.Reason]uint64{
		account.Reason(strings.Repeat("long ", 40)): 9, "b": 2, "c": 2, "d": 1, "e": 1, "f": 1}}
	for name, tt := range map[string]struct {
		colour bool
		width  int
	}{"plain, narrow": {false, 40}, "coloured, narrow": {true, 40}, "coloured, tiny": {true, 3}, "plain": {false, 80}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			NewProgress(&out, "idle", c, tt.colour, func() int { return tt.width }).Show(x)
			s := &screen{t: t, width: max(tt.width, 20)}
			s.play(out.String())
			if got := strings.Contains(out.String(), "\x1b[31m"); got != tt.colour && tt.width > 20 {
				t.Errorf("red: %v in %q", got, out.String())
			}
			if all := strings.Join(s.lines, "\n"); strings.Count(all, "errors") != mostReasons || !strings.Contains(all, "3 other") && tt.width > 30 {
				t.Errorf("got\n%s", all)
			}
		})
	}
}

func TestTimeToGo(t *testing.T) {
	c := plan.Config{Connections: 100, Hold: 10 * time.Second, Messages: 50}
	e := &Progress{config: c, title: "fanout"}
	steps := []struct {
		s     result.Sample
		left  float64
		known bool
	}{
		{result.Sample{Seconds: 1, Phase: result.PhaseConnect}, 0, false},
		{result.Sample{Seconds: 2, Phase: result.PhaseConnect, Settled: 60, ReadyPS: 20}, 2, true},
		{result.Sample{Seconds: 4, Phase: result.PhaseHold}, 0, false},
		{result.Sample{Seconds: 7, Phase: result.PhaseHold, PhaseEnds: 14}, 7, true},
		{result.Sample{Seconds: 99, Phase: result.PhaseHold, PhaseEnds: 14}, 0, true},
		{result.Sample{Seconds: 100, Phase: result.PhasePublish}, 0, false},
		{result.Sample{Seconds: 105, Phase: result.PhasePublish, Published: 10}, 20, true},
		{result.Sample{Seconds: 106, Phase: result.PhaseWait}, 0, false},
	}
	for i, step := range steps {
		if left, known := e.left(step.s); left != step.left || known != step.known {
			t.Errorf("step %d: %v, %v; want %v, %v", i, left, known, step.left, step.known)
		}
	}
	// The run's number of messages means nothing where they go by time, nor the number of
	// clients in a stage.
	for _, e := range []*Progress{{config: c, title: "mixed"}, {config: plan.Config{Connections: 100, Messages: 50, Stages: "->50, hold 1s"}, title: "fanout"}} {
		if left, known := e.left(result.Sample{Seconds: 5, Phase: result.PhasePublish, Published: 10}); known {
			t.Errorf("%s: %v s to go", e.title, left)
		}
	}
}

func TestPlainProgress(t *testing.T) {
	c := plan.DefaultConfig()
	c.Connections = 100
	var out bytes.Buffer
	p := NewProgress(&out, "fanout", c, false, nil)
	p.Show(result.Sample{Seconds: 3, Phase: result.PhasePublish, Open: 90, Failed: 10, Lost: 2, Published: 5, Delivered: 400, Expected: 450,
		DeliveredPS: 200, Due: account.Latency{Count: 1, P50: 1.5e6, P99: 2e8, Max: 12e9}, Server: &probe.ProcessSample{RSS: 50 << 20}, ServerCPU: 0.5, SelfCPU: 0.25})
	p.Show(result.Sample{Seconds: 4, Phase: result.PhaseConnect, Open: 50, ReadyPS: 40})
	p.Done()
	const want = "    3s publish  clients 90/100 failed 10 lost 2  published 5  delivered 400/450 (200/s)  p50 1.5 ms p99 200 ms max 12.0 s  server 50.0 MiB 50 % CPU  self 25 %\n" +
		"    4s connect  clients 50/100 (40/s)  self 0 %\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}
