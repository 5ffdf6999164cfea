package capacity

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// halvings is how often the way between a good and a bad step is halved: a
// break is known to a sixteenth of the last step.
const halvings = 4

// climb runs the levels in their order until one is not good, and then halves
// the way between the last good one and that. An error of measure ends it.
func climb(ctx context.Context, levels []float64, measure func(ctx context.Context, level float64) (Step, error)) (steps []Step, broke *Break, err error) {
	good := 0.0
	try := func(level float64) error {
		s, err := measure(ctx, level)
		if err != nil {
			return err
		}
		steps = append(steps, s)
		if s.Good {
			good = level
		} else {
			broke = &Break{Bad: level, Why: s.Why(), Hint: s.Hint}
		}
		if broke != nil {
			broke.Good = good
		}
		return nil
	}
	for i := 0; i < len(levels) && broke == nil; i++ {
		if err := try(levels[i]); err != nil {
			return steps, nil, err
		}
	}
	for i := 0; i < halvings && broke != nil; i++ {
		// Whole clients, and whole messages a second.
		middle := math.Round((broke.Good + broke.Bad) / 2)
		if middle <= broke.Good || middle >= broke.Bad || broke.Bad < broke.Good*1.05 {
			break
		}
		if err := try(middle); err != nil {
			return steps, broke, err
		}
	}
	return steps, broke, nil
}

// Why names the faults of a step, but for its hint; empty for a good one.
func (s Step) Why() string {
	if s.ClientBound {
		return "loadgen itself was the limit, the gateway can do better"
	}
	// A bare count such as failed==0 says less than the run's own words.
	var all []string
	for _, v := range s.SLOs {
		if !v.Met && (v.Unit != result.UnitCount || len(s.Failed) == 0) {
			all = append(all, fmt.Sprintf("%s: %s", v.SLO, v.Text()))
		}
	}
	for _, f := range s.Failed {
		if f != s.Hint {
			all = append(all, f)
		}
	}
	return strings.Join(all, "; ")
}

// connectionLevels are even steps up to the most.
func connectionLevels(c Config) []float64 {
	var all []float64
	for i := 1; i <= c.Steps; i++ {
		all = append(all, max(math.Round(float64(c.Most)*float64(i)/float64(c.Steps)), 1))
	}
	return slices.Compact(all)
}

// deliveryLevels are messages per second: each twice the one before.
func deliveryLevels(c Config) []float64 {
	var all []float64
	for d := min(2000, c.MostRate/4); d < c.MostRate*1.5; d *= 2 { // deliveries per second
		all = append(all, max(math.Round(min(d, c.MostRate)/float64(c.Subscribers)), 1))
	}
	return slices.Compact(all)
}
