package result

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

func TestParseSLO(t *testing.T) {
	tests := map[string]struct {
		figure string
		op     string
		limit  float64
		text   string
	}{
		"delivery.p99<200ms":               {"delivery.p99", "<", 200e6, "delivery.p99<200ms"},
		" delivery.p99.9 <= 1.5 s ":        {"delivery.p99.9", "<=", 1.5e9, "delivery.p99.9<=1.5s"},
		"handshake.max<80us":               {"handshake.max", "<", 80e3, "handshake.max<80us"},
		"ready.p50<2m":                     {"ready.p50", "<", 120e9, "ready.p50<120s"},
		"missing==0":                       {"missing", "==", 0, "missing==0"},
		"delivered >= 10k":                 {"delivered", ">=", 10000, "delivered>=10000"},
		"rss_per_conn<600B":                {"rss_per_conn", "<", 600, "rss_per_conn<600B"},
		"rss<1.5MiB":                       {"rss", "<", 1.5 * (1 << 20), "rss<1572864B"},
		"delivered_per_second>5000/s":      {"delivered_per_second", ">", 5000, "delivered_per_second>5000/s"},
		"missing_share!=0.5%":              {"missing_share", "!=", 0.5, "missing_share!=0.5%"},
		"cpu_publishing<1.5":               {"cpu_publishing", "<", 1.5, "cpu_publishing<1.5"},
		"cpu_per_delivery<15us":            {"cpu_per_delivery", "<", 15e3, "cpu_per_delivery<15us"},
		"completion.mean\t<\t0.000000001m": {"completion.mean", "<", 60, "completion.mean<60ns"},
	}
	for text, tt := range tests {
		t.Run(text, func(t *testing.T) {
			s, err := ParseSLO(text)
			if err != nil {
				t.Fatal(err)
			}
			if s.Figure.Name != tt.figure || s.Op != tt.op || math.Abs(s.Limit-tt.limit) > 1e-6*tt.limit {
				t.Errorf("got %s %s %v", s.Figure.Name, s.Op, s.Limit)
			}
			if tt.text != s.String() {
				t.Errorf("written as %q, want %q", s, tt.text)
			}
		})
	}
}

func TestParseSLORefuses(t *testing.T) {
	tests := map[string]string{
		"":                                    "want a figure, an operator and a limit",
		"delivery.p99":                        "want a figure, an operator and a limit",
		"delivery.p98<1s":                     `no figure is called "delivery.p98"; there are handshake.p50, `,
		"<1s":                                 `no figure is called ""`,
		"delivery.p99=1s":                     `"=" is no operator`,
		"delivery.p99<200":                    "is not a duration such as 200ms",
		"delivery.p99<200MB":                  "is not a duration",
		"delivery.p99<-1s":                    `the limit "-1s"`,
		"delivery.p99<<1s":                    `the limit "<1s"`,
		"missing==0B":                         "is not a number such as 0",
		"missing==1e3":                        "is not a number",
		"missing==1..2":                       "is not a number",
		"missing==":                           "is not a number",
		"missing==NaN":                        "is not a number",
		"rss_per_conn<600":                    "is not a size such as 600B",
		"missing<" + strings.Repeat("9", 400): "too long",
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			_, err := ParseSLO(text)
			usage := (*plan.UsageError)(nil)
			if !errors.As(err, &usage) || usage.Flag != "--slo" || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	if _, err := ParseSLOs([]string{"a<1", "missing==0", "b<1"}); strings.Count(err.Error(), "no figure is called") != 2 {
		t.Errorf("got %v, want both mistakes", err)
	}
}

// FuzzParseSLO feeds any text: a limit that is parsed must print as text that parses as the
// same limit.
func FuzzParseSLO(f *testing.F) {
	for _, s := range []string{"delivery.p99<200ms", "missing==0", "rss_per_conn < 600B", "rss<1.5GiB", "failed_share<=0.1%", "a=b", "missing!=1M", "ready.max<µs"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSLO(text)
		if err != nil {
			if len(err.Error()) > 4000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if s.Limit < 0 || math.IsNaN(s.Limit) || math.IsInf(s.Limit, 0) {
			t.Fatalf("limit %v", s.Limit)
		}
		if len(s.String()) > maxSLOLength {
			return // a longer way to write it
		}
		again, err := ParseSLO(s.String())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, s, err)
		}
		if again.Figure.Name != s.Figure.Name || again.Op != s.Op || math.Abs(again.Limit-s.Limit) > 1e-12*s.Limit {
			t.Fatalf("%q is written as %q, which is read as %q", text, s, again)
		}
	})
}

// mustSLOs parses limits.
func mustSLOs(t *testing.T, texts ...string) []SLO {
	t.Helper()
	slos, err := ParseSLOs(texts)
	if err != nil {
		t.Fatal(err)
	}
	return slos
}

func TestJudge(t *testing.T) {
	r := &Result{
		Settings: Settings{Connections: 100},
		Counters: account.Counters{Ready: 98, Failed: 2, Open: 98, Established: 98, Delivered: 980},
		Fanout:   &Sent{Due: account.Latency{Count: 980, P99: 150e6}, Missing: 3, Expected: 983, Delivered: 980},
		Storm:    &Storm{Back95: 1.5},
		Slow:     &Slow{P99Ratio: 1.25},
		Server:   &Server{RSSPerConnection: 610},
	}
	slos, err := ParseSLOs([]string{"delivery.p99<200ms", "delivery.p99<150ms", "delivery.p99<=150ms", "missing==0", "missing!=0",
		"rss_per_conn<600B", "failed_share<=2%", "ready.p50<1s", "delivered>979", "delivered>=981",
		"back_95<=1.5s", "back_100<60s", "slow_p99_ratio<1.25", "cycles_failed==0"})
	if err != nil {
		t.Fatal(err)
	}
	r.Judge(slos)
	want := []struct {
		met  bool
		text string
	}{
		{true, "150 ms"}, {false, "150 ms"}, {true, "150 ms"}, {false, "3"}, {true, "3"},
		{false, "610 B"}, {true, "2 %"}, {false, "not measured in this run"}, {true, "980"}, {false, "980"},
		{true, "1.50 s"}, {false, "not measured in this run"}, {false, "1.25"}, {false, "not measured in this run"},
	}
	for i, v := range r.SLOs {
		if v.Met != want[i].met || v.Text() != want[i].text {
			t.Errorf("%s: met %v, %q; want %v, %q", v.SLO, v.Met, v.Text(), want[i].met, want[i].text)
		}
	}
	if r.Met() {
		t.Error("some were missed")
	}
	r.Judge(slos[:1])
	if !r.Met() || len(r.SLOs) != 1 {
		t.Errorf("the one was met: %+v", r.SLOs)
	}
}

// Runs of older versions have not counted clients once.
func TestClientsOfOlderRuns(t *testing.T) {
	r := &Result{Settings: Settings{Connections: 1000}, Counters: account.Counters{Ready: 1500}}
	if r.Judge(mustSLOs(t, "clients==1000")); !r.Met() {
		t.Errorf("%+v", r.SLOs)
	}
}

// TestFiguresAreUnique also keeps operators out of names.
func TestFiguresAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range Figures() {
		if seen[f.Name] || strings.ContainsAny(f.Name, "<>=! ") || f.About == "" || forms[f.Unit].example == "" {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
		if _, known := f.Of(&Result{}); known && f.Unit != UnitCount {
			t.Errorf("%s: measured in an empty run", f.Name)
		}
	}
}
