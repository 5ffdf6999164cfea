package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// Latencies are a run's histograms by their names, in ns.
type Latencies map[string]*hdrhistogram.Histogram

// latencyLog writes latency.hlog: an interval histogram a line, its name as
// the tag.
type latencyLog struct {
	file *os.File
	out  *bufio.Writer
	log  *hdrhistogram.HistogramLogWriter
}

func newLatencyLog(name string) (*latencyLog, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(f)
	l := &latencyLog{file: f, out: out, log: hdrhistogram.NewHistogramLogWriter(out)}
	now := time.Now().UnixMilli()
	for _, write := range []func() error{
		l.log.OutputLogFormatVersion,
		func() error { return l.log.OutputComment("[Latencies in ns; the maximum of each line in ms]") },
		func() error { return l.log.OutputStartTime(now) },
		l.log.OutputLegend,
		out.Flush,
	} {
		if err := write(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return l, nil
}

func (l *latencyLog) add(i loadgen.Interval) error {
	for _, name := range slices.Sorted(maps.Keys(i.Latencies)) {
		h := i.Latencies[name]
		h.SetTag(name)
		h.SetStartTimeMs(i.Start.UnixMilli())
		h.SetEndTimeMs(i.End.UnixMilli())
		if err := l.log.OutputIntervalHistogram(h); err != nil {
			return fmt.Errorf("%s: %w", latencyFile, err)
		}
	}
	return l.out.Flush()
}

func (l *latencyLog) close() error { return l.file.Close() }

// readLatencyLog merges the intervals of each name.
func readLatencyLog(name string) (Latencies, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseLatencyLog(f, name)
}

func parseLatencyLog(r io.Reader, name string) (Latencies, error) {
	all := make(Latencies)
	log := hdrhistogram.NewHistogramLogReader(r)
	for {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if h == nil {
			return all, nil
		}
		sum := all[h.Tag()]
		if sum == nil {
			sum = hdrhistogram.New(100, int64(time.Hour), 3)
			all[h.Tag()] = sum
		}
		sum.Merge(h)
	}
}
