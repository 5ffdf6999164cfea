package loadgen

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/units"
)

// Stage is one step of a load over time: a ramp to a number of clients, or a
// time for which the number stays.
type Stage struct {
	Target int           // clients at the end of a ramp
	Rate   float64       // connects or closes per second; 0: as fast as it goes
	Hold   time.Duration // more than 0: no ramp
}

// maxStages keeps a mistyped list from becoming a run without an end.
const maxStages = 1000

// ParseStages reads a list such as
//
//	0->10k@500/s, hold 60s, ->0@1k/s
//
// A ramp may name where it starts, which must then be where the one before
// ended; without a rate it goes as fast as the handshakes at the same time
// allow.
func ParseStages(text string) ([]Stage, error) {
	var all []Stage
	at := 0
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		s, err := parseStage(part, at)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		if s.Hold == 0 {
			at = s.Target
		} else if len(all) == 0 {
			return nil, fmt.Errorf("%q: there is nobody to hold yet; begin with a ramp such as 0->1000@500/s", part)
		}
		if all = append(all, s); len(all) > maxStages {
			return nil, fmt.Errorf("more than %d stages", maxStages)
		}
	}
	if peak(all) == 0 {
		return nil, errors.New("no stage has clients")
	}
	return all, nil
}

func parseStage(part string, at int) (Stage, error) {
	if word, rest, ok := strings.Cut(part, " "); ok && word == "hold" {
		d, err := time.ParseDuration(strings.TrimSpace(rest))
		if err != nil || d <= 0 {
			return Stage{}, errors.New("want a time such as hold 60s")
		}
		return Stage{Target: at, Hold: d}, nil
	}
	from, to, ok := strings.Cut(part, "->")
	if !ok {
		return Stage{}, errors.New("want a ramp such as 0->10k@500/s, or hold 60s")
	}
	if from = strings.TrimSpace(from); from != "" {
		if n, err := units.ParseCount(from); err != nil {
			return Stage{}, err
		} else if n != at {
			return Stage{}, fmt.Errorf("starts at %s, but there are %d clients by then", from, at)
		}
	}
	target, rate, paced := strings.Cut(to, "@")
	n, err := units.ParseCount(strings.TrimSpace(target))
	if err != nil {
		return Stage{}, err
	}
	if n > maxConnections {
		return Stage{}, fmt.Errorf("%d clients, want at most %d", n, maxConnections)
	}
	s := Stage{Target: n}
	if s.Target == at {
		return Stage{}, fmt.Errorf("there are %d clients already; hold TIME keeps them", at)
	}
	if paced {
		rate = strings.TrimSpace(rate)
		if s.Rate, err = units.ParseRate(rate); err != nil {
			return Stage{}, err
		}
		if !strings.HasSuffix(rate, "/s") || s.Rate <= 0 || s.Rate > 1e7 {
			return Stage{}, errors.New("want a rate such as @500/s")
		}
	}
	return s, nil
}

// peak is the highest number of clients.
func peak(stages []Stage) (most int) {
	for _, s := range stages {
		most = max(most, s.Target)
	}
	return most
}

func (s Stage) String() string {
	switch {
	case s.Hold > 0:
		return fmt.Sprintf("hold %v", s.Hold)
	case s.Rate > 0:
		return fmt.Sprintf("->%d@%s/s", s.Target, units.Number(s.Rate))
	}
	return fmt.Sprintf("->%d", s.Target)
}
