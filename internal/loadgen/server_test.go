package loadgen

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// metricsServer answers with a gateway's metrics, the heap growing by a MiB a
// scrape.
func metricsServer(t *testing.T) *httptest.Server {
	var scrapes atomic.Uint64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		n := scrapes.Add(1)
		fmt.Fprintf(w, `# TYPE go_memstats_heap_alloc_bytes gauge
go_memstats_heap_alloc_bytes %d
# TYPE go_memstats_heap_inuse_bytes gauge
go_memstats_heap_inuse_bytes %d
# TYPE go_goroutines gauge
go_goroutines 7
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="1"} 9
go_gc_duration_seconds_sum 0.5
go_gc_duration_seconds_count 3
# TYPE gateway_clients gauge
gateway_clients{transport="sse"} 2
gateway_clients{transport="poll"} 3
# TYPE gateway_pings_total counter
gateway_pings_total 11
# TYPE gateway_loop_lag_seconds histogram
gateway_loop_lag_seconds_bucket{le="+Inf"} 1
gateway_loop_lag_seconds_sum 1
gateway_loop_lag_seconds_count 1
`, n<<20, n<<21)
	}))
	t.Cleanup(s.Close)
	return s
}

// The gateway's metrics are in the series and the result as it gave them.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newScripted()
	c := s.start(t, 8, 1)
	c.Admin, c.Hold = strings.TrimPrefix(metricsServer(t).URL, "http://"), 2100*time.Millisecond
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, a := r.Server.MetricsBefore, r.Server.MetricsAfter
	if b == nil || a == nil || a.HeapInUse != 2*a.Heap || a.Goroutines != 7 || a.GCPauses != 0.5 ||
		len(a.Values) != 2 || a.Values["gateway_clients"] != 5 || a.Values["gateway_pings_total"] != 11 {
		t.Fatalf("before %+v, after %+v", b, a)
	}
	if want := float64(a.HeapInUse-b.HeapInUse) / 8; r.Server.HeapPerConnection != want {
		t.Errorf("%.0f B of heap per connection, want %.0f", r.Server.HeapPerConnection, want)
	}
	last := uint64(0)
	for _, x := range r.Series {
		if x.Metrics == nil || x.Metrics.Heap <= last || x.Kernel == nil {
			t.Fatalf("sample %+v", x)
		}
		// A busy machine samples late, when the hold may be over.
		hold, ends := c.Hold.Seconds(), x.PhaseEnds
		if x.Phase == result.PhaseHold && (ends == 0 && x.Seconds < hold || ends > 0 && (ends < hold || ends > x.Seconds+hold)) {
			t.Errorf("the hold ends at %v s, it is %v s", x.PhaseEnds, x.Seconds)
		}
		last = x.Metrics.Heap
	}
	if len(r.Series) < 2 {
		t.Errorf("%d samples", len(r.Series))
	}
}

func TestMetricsBad(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	empty := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer empty.Close()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer html.Close()
	tests := map[string]struct{ admin, want string }{
		"refused":       {gatewaytest.Address(t), "connection refused"},
		"elsewhere":     {"192.0.2.1:1", "not on this host"},
		"no URL":        {"redis://x", "want the gateway's admin.listen"},
		"not a gateway": {other.URL, "HTTP 404"},
		"no metrics":    {empty.URL, "not with a gateway's metrics"},
		"a page":        {html.URL, "these are no metrics"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScripted()
			c := s.start(t, 1, 1)
			c.Admin = tt.admin
			_, err := Idle(t.Context(), c, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--admin") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Seconds without a free CPU and dropped connects are said loudly.
func TestJudgeKernel(t *testing.T) {
	r := &run{observer: observer{notes: notes{&result.Result{Kernel: &result.Kernel{After: probe.KernelSample{Overflows: 3}}}}}}
	for range boundSeconds {
		r.result.Series = append(r.result.Series, result.Sample{Phase: result.PhasePublish, HostCPU: 0.99}, result.Sample{Phase: result.PhaseHold, HostCPU: 0.2})
	}
	r.judgeKernel()
	if text := strings.Join(r.result.Warnings, "\n"); !strings.Contains(text, "dropped 3 connects") || !strings.Contains(text, "HOST-BOUND: in 2 seconds") {
		t.Errorf("warnings %q", text)
	}
	r = &run{observer: observer{notes: notes{&result.Result{Kernel: &result.Kernel{}, Series: []result.Sample{{Phase: result.PhasePublish, HostCPU: 0.99}, {Phase: result.PhasePublish, HostCPU: 0.9}}}}}}
	if r.judgeKernel(); len(r.result.Warnings) != 0 {
		t.Errorf("warnings %q", r.result.Warnings)
	}
}
