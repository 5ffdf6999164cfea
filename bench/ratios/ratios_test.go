package ratios

import (
	"context"
	"io"
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMeasure runs all of it with few connections: the programs, Redis and the clients.
func TestMeasure(t *testing.T) {
	for name, test := range map[string]struct {
		args    string
		servers [2]string
		lines   []line
		figures func(r *round) map[string]*figures
	}{
		"in the clear": {"", [2]string{"bare", "gateway"}, lines, func(r *round) map[string]*figures {
			return map[string]*figures{"bare": &r.bare, "write": &r.write, "gateway": &r.gateway}
		}},
		"TLS": {" -tls", [2]string{"clear", "TLS"}, secureLines, func(r *round) map[string]*figures {
			return map[string]*figures{"write": &r.write, "gateway": &r.gateway, "write over TLS": &r.secureWrite, "gateway over TLS": &r.secure}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			measureOnce(t, test.args, test.servers, test.lines, test.figures)
		})
	}
}

// measureOnce measures a round with some arguments and prints its table.
func measureOnce(t *testing.T, args string, servers [2]string, lines []line, figuresOf func(r *round) map[string]*figures) {
	const (
		// A second's pings to as many cost as much as the idle gateway, of
		// which they have to stand out.
		n        = 1000
		messages = 5
	)
	o, err := parse(strings.Fields("-n 1000 -c 20 -messages 5 -rounds 1 -low 100 -high 1100 -interval 1s -cycles 2 -loops 2" + args))
	if err != nil {
		t.Fatal(err)
	}
	rounds, err := measure(t.Context(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(rounds) != o.rounds {
		t.Fatalf("%d rounds, want %d", len(rounds), o.rounds)
	}
	for i := range rounds {
		r := &rounds[i]
		for name, f := range figuresOf(r) {
			// Once each message by itself, once all of them together.
			if want := 2 * messages * n; f.delivered != want {
				t.Errorf("round %d, %s: %d messages received, want %d", i, name, f.delivered, want)
			}
			// Where the kernel has io_uring, all go through it, over TLS too.
			if byRing := strings.HasPrefix(name, "gateway") && r.gateway.batched > 0; f.byRing() != byRing {
				t.Errorf("round %d, %s: the share of deliveries by io_uring is %.2f", i, name, f.batched)
			}
		}
		for _, l := range lines {
			bare, gateway := l.of(r)
			for _, v := range []float64{bare, gateway} {
				// Memory may not grow at all with so few connections.
				if positive := v > 0 || l.absolute || l.difference; !positive || math.Abs(v) > 100_000 || math.IsNaN(v) {
					t.Errorf("round %d: %s is %v and %v %s", i, l.name, bare, gateway, l.unit)
				}
			}
		}
	}
	var out strings.Builder
	printTable(&out, rounds, servers, lines)
	for _, l := range lines {
		if !strings.Contains(out.String(), l.name+"  ") {
			t.Errorf("the table has no line %q:\n%s", l.name, out.String())
		}
	}
}

// TestTable checks medians, ranges and verdicts on rounds made up for it.
func TestTable(t *testing.T) {
	rounds := make([]round, 3)
	for i := range rounds {
		rounds[i].bare = figures{handshake: 10, delivery: 4, fullRate: 4, last: 8, ping: 5, growth: 50}
		rounds[i].write = figures{delivery: 4 + float64(i)}
		rounds[i].gateway = figures{handshake: 15, delivery: 2, fullRate: 1, last: 8, ping: 10, growth: 601, batched: 1}
	}
	var out strings.Builder
	if err := printTable(&out, rounds, [2]string{"bare", "gateway"}, lines); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"handshake us 10.00 15.00 1.50 [1.50..1.50] 1.50 x ok",
		"delivery by write(2) us 4.00 5.00 1.25 [1.00..1.50] 1.10 x over",
		"delivery by io_uring us 4.00 2.00 0.50 [0.50..0.50] 0.65 x ok",
		"delivery at full rate us 4.00 1.00 0.25 [0.25..0.25] until",
		"ping cycle to bare delivery us 4.00 10.00 2.50 [2.50..2.50] 2.50 x ok",
		"RSS growth per connection B 50.00 601.00 [601..601] 600 B over",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestTableWithoutRing: deliveries by io_uring have a line only if all rounds of both servers had them.
func TestTableWithoutRing(t *testing.T) {
	const missing = "delivery by io_uring not available here"
	for name, test := range map[string]struct {
		clear, secure float64 // shares in the second round
		want          [2]bool // missing in the clear, over TLS
	}{
		"both":    {1, 1, [2]bool{false, false}},
		"clear":   {1, 0, [2]bool{false, true}},
		"partly":  {1, 0.5, [2]bool{false, true}},
		"neither": {0, 0, [2]bool{true, true}},
	} {
		rounds := make([]round, 2)
		for i, r := range [2][2]float64{{1, 1}, {test.clear, test.secure}} {
			rounds[i].gateway.batched, rounds[i].secure.batched = r[0], r[1]
		}
		for i, lines := range [2][]line{lines, secureLines} {
			var out strings.Builder
			printTable(&out, rounds, [2]string{}, lines)
			if got := strings.Contains(strings.Join(strings.Fields(out.String()), " "), missing); got != test.want[i] {
				t.Errorf("%s: missing is %t in\n%s", name, got, out.String())
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"argument":    {[]string{"extra"}, `unexpected argument "extra"`},
		"connections": {[]string{"-n", "0"}, "-n: 0 is not allowed"},
		"descriptors": {[]string{"-n", "1000000000"}, "-n: 1000000000 is not allowed"},
		"size":        {[]string{"-size", "1"}, "-size: 1 is not allowed, want 2 to 1024"},
		"order":       {[]string{"-low", "20", "-high", "20"}, "-high: 20 is not allowed, want 21"},
		"interval":    {[]string{"-interval", "1ms"}, "-interval: 1ms is not allowed"},
		"all at once": {[]string{"-rounds", "0", "-cycles", "0"}, "-cycles"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Run(context.Background(), test.args, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
