package probe

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestScrape(t *testing.T) {
	text, status := `# TYPE clients gauge
clients{kind="ws",node="a"} 2
clients{kind="sse",node="a"} 3
# TYPE pings_total counter
pings_total 11
# TYPE lag_seconds histogram
lag_seconds_bucket{le="0.1"} 90
lag_seconds_bucket{le="1"} 99
lag_seconds_bucket{le="+Inf"} 100
lag_seconds_sum 12
lag_seconds_count 100
`, http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	defer s.Close()
	m, err := Scrape(t.Context(), s.Client(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if m[`clients{kind="sse", node="a"}`] != 3 {
		t.Errorf("metrics %v", m)
	}
	if got, want := m.Sums(""), map[string]float64{"clients": 5, "pings_total": 11}; !maps.Equal(got, want) {
		t.Errorf("sums %v, want %v", got, want)
	}
	for q, want := range map[float64]float64{0.5: 0.1, 0.99: 1, 1: math.Inf(1)} {
		if got := m.Quantile(q, "lag_seconds", nil); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := m.Quantile(0.5, "lag_seconds", m); !math.IsNaN(got) {
		t.Errorf("the quantile of no values is %v", got)
	}
	text = "<html>"
	if _, err := Scrape(t.Context(), s.Client(), s.URL); err == nil || !strings.Contains(err.Error(), "no metrics") {
		t.Errorf("a page: %v", err)
	}
	status = http.StatusNotFound
	if _, err := Scrape(t.Context(), s.Client(), s.URL); err == nil || !strings.Contains(err.Error(), "HTTP 404") {
		t.Errorf("404: %v", err)
	}
}
