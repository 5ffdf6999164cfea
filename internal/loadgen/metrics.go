package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// MetricsSample is what a gateway says of itself.
type MetricsSample struct {
	Heap       uint64  `json:"heap_bytes"` // objects, reachable or not yet collected
	HeapInUse  uint64  `json:"heap_in_use_bytes"`
	GCPauses   float64 `json:"gc_pause_seconds"` // since it started
	Goroutines int     `json:"goroutines"`
	// Values holds the gateway's own counters and gauges, summed over their
	// labels.
	Values map[string]float64 `json:"values"`
}

// scrapeTimeout keeps an overloaded gateway from stopping the series.
const scrapeTimeout = 500 * time.Millisecond

// metricsWatch reads /metrics of a gateway's admin listener.
type metricsWatch struct {
	url    string
	client *http.Client
}

// watchMetrics reads once, so that a wrong address is told at once.
func watchMetrics(ctx context.Context, c Config) (*metricsWatch, error) {
	refuse := func(format string, args ...any) error {
		return &UsageError{Flag: "--admin", Value: printableURL(c.Admin), Want: fmt.Sprintf(format, args...)}
	}
	text := c.Admin
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, refuse("want the gateway's admin.listen, such as 127.0.0.1:8081")
	}
	a, err := resolve(ctx, u.Hostname())
	if err != nil {
		return nil, refuse("%v", err)
	}
	if !a.IsLoopback() && !c.AllowRemote {
		return nil, refuse("%s", notThisHost(a))
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/metrics"
	}
	w := &metricsWatch{url: u.String(), client: &http.Client{
		Timeout:   scrapeTimeout,
		Transport: &http.Transport{MaxIdleConns: 1, DisableCompression: true},
	}}
	s, err := w.sample(ctx)
	if err == nil && len(s.Values) == 0 {
		err = errors.New("it answers, but not with a gateway's metrics: want admin.listen")
	}
	if err != nil {
		w.close()
		return nil, refuse("%v", err)
	}
	return w, nil
}

func (w *metricsWatch) close() { w.client.CloseIdleConnections() }

// ownMetrics is how the names of a gateway's own metrics start.
const ownMetrics = "gateway_"

func (w *metricsWatch) sample(ctx context.Context) (s MetricsSample, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return s, err
	}
	answer, err := w.client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return s, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return s, fmt.Errorf("answers with HTTP %d", answer.StatusCode)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(http.MaxBytesReader(nil, answer.Body, 16<<20))
	if err != nil {
		return s, fmt.Errorf("these are no metrics: %w", err)
	}
	s.Values = make(map[string]float64)
	for name, f := range families {
		var sum float64
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue() + m.GetSummary().GetSampleSum()
		}
		switch {
		case name == "go_memstats_heap_alloc_bytes":
			s.Heap = uint64(sum)
		case name == "go_memstats_heap_inuse_bytes":
			s.HeapInUse = uint64(sum)
		case name == "go_gc_duration_seconds":
			s.GCPauses = sum
		case name == "go_goroutines":
			s.Goroutines = int(sum)
		case strings.HasPrefix(name, ownMetrics) && len(f.GetMetric()) > 0 && f.GetMetric()[0].GetHistogram() == nil:
			s.Values[name] = sum
		}
	}
	return s, nil
}
