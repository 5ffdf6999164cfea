package fanout

import (
	"context"
	"time"
)

// sweep forgets what nobody wants any more, until ctx ends.
func (l *link) sweep(ctx context.Context) {
	c := l.b.config
	tick := time.NewTicker(min(time.Second, max(5*time.Millisecond, min(c.Linger, c.Ring.Age)/8)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.rings.over:
		}
		for more := true; more; {
			more = l.sweepSome()
		}
	}
}

// sweepSome bounds the time for which the lock is held, and reports whether
// there is more to do.
func (l *link) sweepSome() (more bool) {
	const slice = 4096
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checkMoved()
	now := l.now()
	l.rings.expire(&l.topics, now)
	all := l.rings.fitSome(&l.topics, slice)
	all = l.forgetLingering(slice, func(t *topic) bool { return int32(now-t.due) >= 0 }) && all
	// Those that can't go yet are not visited again and again.
	excess := min(slice, l.lingering.n-l.lingering.most)
	left := l.lingering.n - excess
	if excess > 0 {
		l.forgetLingering(excess, func(*topic) bool { return true })
	}
	return !all || excess == slice && l.lingering.n == left
}
