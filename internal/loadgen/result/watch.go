package result

import (
	"fmt"
	"sync"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// Watch judges SLOs while a run goes on. It takes the run's intervals and samples, and reports
// the first miss. Only a miss that can't become good again is judged: an upper limit on a
// growing figure, and a percentile of all values so far once there are enough of them. The rest
// waits for the end.
type Watch struct {
	// Immutable
	slos []SLO
	miss func(text string)

	// Guarded by mu
	mu     sync.Mutex
	sample Sample
	merged account.Recorder
	missed bool
}

// NewWatch returns a watch that calls miss once, on the goroutine of Sample.
func NewWatch(slos []SLO, miss func(text string)) *Watch {
	return &Watch{slos: slos, miss: miss, merged: account.NewRecorder()}
}

// Interval is for Options.Interval.
func (w *Watch) Interval(i Interval) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i.Latencies.CopyTo(&w.merged)
}

// Sample is for Options.Progress.
func (w *Watch) Sample(s Sample) {
	if text, missed := w.judge(s); missed {
		w.miss(text)
	}
}

// judge returns the first miss, once.
func (w *Watch) judge(sample Sample) (text string, missed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sample = sample
	if w.missed {
		return "", false
	}
	for _, s := range w.slos {
		if s.Figure.live == nil {
			continue
		}
		if v, known := s.Figure.live(w); known && s.final(v) && !s.holds(v) {
			w.missed = true
			return fmt.Sprintf("%s was missed after %.0f s: %s", s, sample.Seconds, FormatFigure(s.Figure.Unit, v)), true
		}
	}
	return "", false
}

// final reports whether missing the limit with v could not be made good by
// more of the same.
func (s SLO) final(v float64) bool {
	switch s.Op {
	case "<", "<=":
		return true
	case "==":
		return v >= s.Limit
	}
	return false
}
