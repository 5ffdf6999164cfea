package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
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
	m, err := probe.Scrape(ctx, w.client, w.url)
	return MetricsSample{
		Heap:       uint64(m["go_memstats_heap_alloc_bytes"]),
		HeapInUse:  uint64(m["go_memstats_heap_inuse_bytes"]),
		GCPauses:   m["go_gc_duration_seconds_sum"],
		Goroutines: int(m["go_goroutines"]),
		Values:     m.Sums(ownMetrics),
	}, err
}
