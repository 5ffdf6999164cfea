package result

import (
	"testing"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/probe"
)

func TestWatch(t *testing.T) {
	recorded := func(n int, ns int64) Interval {
		l := account.NewRecorder()
		for range n {
			account.Record(l[account.OfDelivery], ns)
		}
		return Interval{Latencies: &l}
	}
	server := &probe.ProcessSample{RSS: 50 << 20}
	type step struct {
		interval Interval
		sample   Sample
	}
	tests := map[string]struct {
		slo   string
		steps []step
		want  []string // by step
	}{
		"a client is lost": {"lost==0", []step{{sample: Sample{Seconds: 1}}, {sample: Sample{Seconds: 2, Lost: 1}}, {sample: Sample{Seconds: 3, Lost: 2}}},
			[]string{"", "lost==0 was missed after 2 s: 1", ""}},
		"not enough of them yet": {"lost==5", []step{{sample: Sample{Lost: 4}}, {sample: Sample{Lost: 5}}, {sample: Sample{Lost: 6, Seconds: 3}}},
			[]string{"", "", "lost==5 was missed after 3 s: 6"}},
		"more is to come": {"clients>=10", []step{{sample: Sample{Ready: 1}}}, []string{""}},
		"too few values": {"delivery.p99<10ms", []step{{recorded(999, 20e6), Sample{}}, {recorded(1, 20e6), Sample{Seconds: 7}}},
			[]string{"", "delivery.p99<10ms was missed after 7 s: 20.0 ms"}},
		"all values so far": {"delivery.p50<10ms", []step{{recorded(100, 1e6), Sample{}}, {recorded(90, 20e6), Sample{}}, {recorded(20, 20e6), Sample{Seconds: 9}}},
			[]string{"", "", "delivery.p50<10ms was missed after 9 s: 20.0 ms"}},
		"memory after the connects": {"rss_per_conn<600B", []step{
			{sample: Sample{Phase: PhaseConnect, Open: 10, RSSPerConnection: 90000, Server: server}},
			{sample: Sample{Phase: PhaseHold, Open: 10000, RSSPerConnection: 599, Server: server}},
			{sample: Sample{Phase: PhaseHold, Open: 10000, RSSPerConnection: 601, Server: server, Seconds: 4}}},
			[]string{"", "", "rss_per_conn<600B was missed after 4 s: 601 B"}},
		"only the end tells": {"missing==0", []step{{sample: Sample{Expected: 9}}}, []string{""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			slo, err := ParseSLO(tt.slo)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			w := NewWatch([]SLO{slo}, func(text string) { got = text })
			for i, s := range tt.steps {
				got = ""
				if s.interval.Latencies != nil {
					w.Interval(s.interval)
				}
				w.Sample(s.sample)
				if got != tt.want[i] {
					t.Errorf("step %d: %q, want %q", i, got, tt.want[i])
				}
			}
		})
	}
}
