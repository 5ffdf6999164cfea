package capacity

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// halvings is how often the way between a good and a bad step is halved: a
// break is known to a sixteenth of the last step.
const halvings = 4

// climb runs the levels in their order until one is not good, and then halves
// the way between the last good one and that. measure returns why a step was
// not good; an error ends the climb.
func climb(ctx context.Context, levels []float64, measure func(ctx context.Context, level float64) (Step, error)) (steps []Step, broke *Break, err error) {
	good := 0.0
	for _, level := range levels {
		s, err := measure(ctx, level)
		if err != nil {
			return steps, nil, err
		}
		steps = append(steps, s)
		if s.Good {
			good = level
			continue
		}
		broke = &Break{Good: good, Bad: level, Why: s.Why(), Hint: s.Hint}
		break
	}
	if broke == nil {
		return steps, nil, nil
	}
	for range halvings {
		// Whole clients, and whole messages a second.
		middle := math.Round((broke.Good + broke.Bad) / 2)
		if middle <= broke.Good || middle >= broke.Bad || broke.Bad < broke.Good*1.05 {
			break
		}
		s, err := measure(ctx, middle)
		if err != nil {
			return steps, broke, err
		}
		steps = append(steps, s)
		if s.Good {
			broke.Good = middle
		} else {
			broke.Bad, broke.Why, broke.Hint = middle, s.Why(), s.Hint
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
		if !v.Met && (v.Unit != loadgen.UnitCount || len(s.Failed) == 0) {
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
		n := math.Round(float64(c.Most) * float64(i) / float64(c.Steps))
		if n >= 1 && (len(all) == 0 || n > all[len(all)-1]) {
			all = append(all, n)
		}
	}
	return all
}

// deliveryLevels are messages per second: each twice the one before.
func deliveryLevels(c Config) []float64 {
	first := min(2000, c.MostRate/4) // deliveries per second
	var all []float64
	for d := first; d < c.MostRate*1.5; d *= 2 {
		rate := math.Max(math.Round(min(d, c.MostRate)/float64(c.Subscribers)), 1)
		if len(all) == 0 || rate > all[len(all)-1] {
			all = append(all, rate)
		}
	}
	return all
}
