package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/capacity"
)

// plots are the figures that page.js draws, of a run or of a climb.
type plots struct {
	// Series are the columns of series.csv, "seconds" among them.
	Series map[string][]number `json:"series,omitempty"`
	Phases []phase             `json:"phases,omitempty"`
	CPUs   int                 `json:"cpus"`
	// Percentiles are latencies in ns by their names, at 0 %, 90 %, 99 % and so
	// on with 30 steps from each to the next, as far as the values go.
	Percentiles map[string][]number `json:"percentiles,omitempty"`

	Fits     *capacity.Fits     `json:"fits,omitempty"`
	Verified *capacity.Verified `json:"verified,omitempty"`
}

// phase is a part of a run, which begins where the one before ends.
type phase struct {
	Name string `json:"name"`
	End  number `json:"end"` // in seconds of the run
}

// number is written with six digits, NaN as null.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return strconv.AppendFloat(nil, v, 'g', 6, 64), nil
	}
	return []byte("null"), nil
}

// mostPoints is how many points a line over time has at most; of longer series
// some seconds make one: latencies the worst, all else the mean.
const mostPoints = 240

func plotsOf(run *Run) *plots {
	series := run.Result.Series
	p := &plots{Series: make(map[string][]number), CPUs: run.Result.Host.CPUs, Percentiles: make(map[string][]number)}
	for group := range slices.Chunk(series, max((len(series)+mostPoints-1)/mostPoints, 1)) {
		p.Series["seconds"] = append(p.Series["seconds"], number(group[len(group)-1].Seconds))
		for _, c := range columns {
			point := math.NaN()
			switch values := c.of.in(group, nil); {
			case len(values) == 0:
			case strings.HasPrefix(c.name, "latency_"):
				point = slices.Max(values)
			default:
				point = mean(values)
			}
			p.Series[c.name] = append(p.Series[c.name], number(point))
		}
	}
	for i, s := range series {
		if i == len(series)-1 || series[i+1].Phase != s.Phase {
			p.Phases = append(p.Phases, phase{string(s.Phase), number(s.Seconds)})
		}
	}
	const steps, most = 30, 5 // for each nine, and nines
	for name, h := range run.Latencies {
		if h.TotalCount() == 0 {
			continue
		}
		for i := range int(min(math.Log10(float64(h.TotalCount())), most)*steps) + 1 {
			v := h.ValueAtPercentile((1 - math.Pow(10, -float64(i)/steps)) * 100)
			p.Percentiles[name] = append(p.Percentiles[name], number(max(v, 1)))
		}
	}
	return p
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
