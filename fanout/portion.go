package fanout

import (
	"context"
	"time"
)

// portion is how much one goroutine asks of Redis at once, as a part of the most
// that it may. What doesn't come within read_timeout wouldn't come when asked
// for again: each failure halves the portion, and some successes double it, so
// that a slow way is tried once in a while only.
type portion struct {
	halved    int
	successes int // since it last changed
}

const (
	// mostHalved makes the largest number that is asked for one.
	mostHalved = 9
	// successesToDouble bounds the time lost for portions that are too large
	// to a timeout in so many reads.
	successesToDouble = 8
)

// of returns the present part of n.
func (p *portion) of(n int) int { return max(1, n>>p.halved) }

func (p *portion) adapt(err error) {
	switch {
	case err != nil:
		p.halved, p.successes = min(p.halved+1, mostHalved), 0
	case p.halved > 0:
		if p.successes++; p.successes == successesToDouble {
			p.halved, p.successes = p.halved-1, 0
		}
	}
}

// retry calls fn until it succeeds, and reports whether it did before ctx
// ended. Redis may be loading its data or changing its role meanwhile. What fn
// asks for is by p.
func retry(ctx context.Context, p *portion, fn func() error) bool {
	delay := 20 * time.Millisecond
	for ctx.Err() == nil {
		err := fn()
		p.adapt(err)
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, time.Second)
	}
	return false
}
