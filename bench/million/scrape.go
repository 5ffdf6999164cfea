package main

import (
	"bufio"
	"fmt"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// scrape is one reading of the gateway's metrics: series by name and labels as
// they are written.
type scrape map[string]float64

// scrape reads the gateway's metrics. It is tried for a while: the gateway
// refuses to answer when one of its loops takes longer than a second to.
func (g *gateway) scrape() (s scrape, err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if s, err = g.scrapeOnce(); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("read the metrics: %w", err)
}

func (g *gateway) scrapeOnce() (scrape, error) {
	answer, err := http.Get(g.Admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: %s", answer.Status)
	}
	s := scrape{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			s[name] = v
		}
	}
	return s, lines.Err()
}

// lag says how long the gateway's loops let a post wait, in one step of the
// course.
type lag struct {
	Posts   int     `json:"posts"`
	Mean    float64 `json:"mean"` // seconds
	P99     float64 `json:"p99"`  // the bound of the bucket that it is in; 0: above all of them
	Slowest float64 `json:"slowest"`
}

const lagSeries = "gateway_loop_lag_seconds"

// lagBetween compares two readings.
func lagBetween(before, after scrape) lag {
	count := after[lagSeries+"_count"] - before[lagSeries+"_count"]
	l := lag{Posts: int(count)}
	if count == 0 {
		return l
	}
	l.Mean = (after[lagSeries+"_sum"] - before[lagSeries+"_sum"]) / count
	type bucket struct{ bound, count float64 }
	var buckets []bucket
	for name, v := range after {
		label, ok := strings.CutPrefix(name, lagSeries+`_bucket{le="`)
		if !ok {
			continue
		}
		bound, err := strconv.ParseFloat(strings.TrimSuffix(label, `"}`), 64)
		if err == nil && !math.IsInf(bound, 0) {
			buckets = append(buckets, bucket{bound, v - before[name]})
		}
	}
	sort.Slice(buckets, func(i, j int) bool { return buckets[i].bound < buckets[j].bound })
	for _, b := range buckets {
		if l.P99 == 0 && b.count >= 0.99*count {
			l.P99 = b.bound
		}
		if l.Slowest == 0 && b.count >= count {
			l.Slowest = b.bound
		}
	}
	return l
}
