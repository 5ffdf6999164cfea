package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics is one scrape: values by series, the labels sorted and a blank behind
// each comma, such as pings_total or lag_seconds_bucket{le="0.1", shard="0"}.
type Metrics map[string]float64

// maxMetrics bounds the text of a scrape, in bytes.
const maxMetrics = 16 << 20

// Scrape reads a program's metrics from a URL. The client's timeout bounds it.
func Scrape(ctx context.Context, client *http.Client, from string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may hold a password
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answers with HTTP %d", response.StatusCode)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(http.MaxBytesReader(nil, response.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("these are no metrics: %w", err)
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, slices.Collect(maps.Values(families))...)
	if err != nil {
		return nil, fmt.Errorf("these are no metrics: %w", err)
	}
	m := make(Metrics, len(samples))
	for _, s := range samples {
		m[s.Metric.String()] = float64(s.Value)
	}
	return m, nil
}

// Sums returns the sums over the labels of all counters and gauges whose names
// start with prefix, by name; the parts of histograms are left out.
func (m Metrics) Sums(prefix string) map[string]float64 {
	sums := make(map[string]float64)
	for series, v := range m {
		if name, _, _ := strings.Cut(series, "{"); strings.HasPrefix(name, prefix) {
			sums[name] += v
		}
	}
	for name := range sums {
		if base, ok := strings.CutSuffix(name, "_bucket"); ok {
			delete(sums, name)
			delete(sums, base+"_sum")
			delete(sums, base+"_count")
		}
	}
	return sums
}

// Quantile returns the bound of the histogram's bucket below which a share q of the values
// since an earlier scrape lie; +Inf above all bounds, NaN without values. The histogram has no
// labels.
func (m Metrics) Quantile(q float64, histogram string, before Metrics) float64 {
	count := m[histogram+"_count"] - before[histogram+"_count"]
	if count <= 0 {
		return math.NaN()
	}
	best := math.Inf(1)
	for series, v := range m {
		text, ok := strings.CutPrefix(series, histogram+`_bucket{le="`)
		if !ok {
			continue
		}
		bound, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64)
		if err == nil && v-before[series] >= q*count {
			best = min(best, bound)
		}
	}
	return best
}
