package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs one of the servers where the test binary is started for that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestAll measures every server that is here with few clients, and renders the
// page.
func TestAll(t *testing.T) {
	const clients, messages = 50, 3
	dir := t.TempDir()
	program := filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-C", "../..", "-o", program, "./cmd/gateway")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, output)
	}
	args := []string{"-n", "50", "-messages", "3", "-rounds", "1", "-interval", "1s", "-gateway", program, "-docs", dir}
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if err := measure(t.Context(), o, &log); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + log.String())
	results, err := keptResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(transports) {
		t.Fatalf("%d results, want %d", len(results), len(transports))
	}
	for _, r := range results {
		if least := len(makers) + 1; len(r.Servers) < least {
			t.Errorf("%s: %d servers, want %d at least", r.Transport, len(r.Servers), least)
		}
		for _, s := range r.Servers {
			f := s.Rounds[0]
			if f.Failed != "" {
				t.Errorf("%s, %s: %s", r.Transport, s.Name, f.Failed)
				continue
			}
			if f.Deliveries != clients*messages || f.Counts != (counts{}) || len(f.Last) != messages {
				t.Errorf("%s, %s: %+v", r.Transport, s.Name, f)
			}
			// A server that spreads its pings may be just ahead or behind.
			if f.Pings < clients/2 || f.Pings > 3*clients/2 {
				t.Errorf("%s, %s: %d heartbeats in one interval", r.Transport, s.Name, f.Pings)
			}
			for _, m := range metrics {
				if v := m.of(r, &f); m.name != memoryEach.name && !(v > 0) {
					t.Errorf("%s, %s: %s is %v", r.Transport, s.Name, m.name, v)
				}
			}
		}
	}
	if err := renderPage(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "BENCHMARKS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## WebSocket, 50 connections, 3 messages", "## Server-Sent Events, 50 connections", "No round was cut short", "| gorilla hub |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	for _, name := range []string{"memory", "delivery", "connect"} {
		if _, err := os.Stat(filepath.Join(dir, "benchmarks", name+".svg")); err != nil {
			t.Error(err)
		}
	}
}

// testAddress is never connected to.
var testAddress = netip.MustParseAddrPort("127.0.0.1:1")

// TestLossesAreCounted feeds a client what a bad server sends.
func TestLossesAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		numbers []int
		want    counts
	}{
		"all":     {[]int{0, 1, 2, 3}, counts{}},
		"none":    {nil, counts{Lost: 4}},
		"hole":    {[]int{0, 2, 3}, counts{Lost: 1}},
		"end":     {[]int{0, 1}, counts{Lost: 2}},
		"doubled": {[]int{0, 1, 1, 2, 3}, counts{Doubled: 1}},
		"late":    {[]int{0, 2, 1, 3}, counts{Lost: 1, Doubled: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &running{listen: testAddress, path: "/"}
			c, err := newClients(r, websocketTransport, 1, 4, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Do(func() {
				for _, k := range test.numbers {
					if err := c.Text(0, payload(k, 128)); err != nil {
						t.Error(err)
					}
				}
				if err := c.Text(0, payload(4, 128)); err == nil {
					t.Error("a message that was never published is taken")
				}
			}); err != nil {
				t.Fatal(err)
			}
			got, err := c.result()
			if err != nil || got != test.want {
				t.Errorf("%+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]int{
		string(payload(0, 64)):                        0,
		string(payload(12345, 64)):                    12345,
		`{"push":{"channel":"c","pub":{"data":{"n":7`: 7,
		`{"n":`:  -1,
		`{"n":x`: -1,
		`{}`:     -1,
	} {
		k, ok := number([]byte(text))
		if !ok {
			k = -1
		}
		if k != want {
			t.Errorf("%.40s: %d, want %d", text, k, want)
		}
	}
	if n := len(payload(99, 128)); n != 128 {
		t.Errorf("a payload of 128 bytes has %d", n)
	}
}

func TestQuantiles(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for share, want := range map[float64]float64{0.5: 3, 0.99: 5, 1: 5, 0.2: 1, 0: 1} {
		if got := quantile(values, share); got != want {
			t.Errorf("quantile %v is %v, want %v", share, got, want)
		}
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("the median is %v, want 2.5", got)
	}
}

// TestAhead names those that are better than the gateway, and only them.
func TestAhead(t *testing.T) {
	r := &result{Connections: 1}
	for i, name := range []string{"pushgate", "other"} {
		r.Servers = append(r.Servers, measured{Name: name, Rounds: []figures{{
			Connect: 1 + float64(i), ConnectCPU: 1 - float64(i)/2, With: 100, Hold: 1, HoldCPU: 1, DeliverCPU: 1, Deliveries: 1, Last: []float64{1},
		}}})
	}
	if got, want := r.Ahead(), "Others are ahead of the gateway in: CPU per connect (other)."; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r.Servers[1].Rounds[0].Failed = "it fell over"
	if got, want := r.Ahead(), "The gateway is ahead in every column."; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, args := range map[string][]string{
		"-n: 0 is not allowed":                     {"-n", "1000,0"},
		"-n: 1000000000 is not allowed":            {"-n", "1000000000"},
		"-size: 1 is not allowed":                  {"-size", "1"},
		"-rounds: 0 is not allowed":                {"-rounds", "0"},
		"-interval: 1.5s is not allowed":           {"-interval", "1500ms"},
		`there is no server "apache"`:              {"-only", "nchan,apache"},
		`invalid value "smtp" for flag -transport`: {"-transport", "smtp"},
		`unexpected argument "more"`:               {"more"},
	} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
