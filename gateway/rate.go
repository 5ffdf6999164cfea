package gateway

import (
	"sync/atomic"
	"time"
)

// rate is how often something may happen: in a steady stream, or, after a
// pause, at once up to a burst. The zero value has no bound.
//
// It's a token bucket in the form of the generic cell rate algorithm (ITU-T
// I.371): the whole state of a bucket is the time at which it will be full
// again, so that no clock has to fill it.
type rate struct {
	interval time.Duration // in which one token comes
	depth    time.Duration // to fill all of the bucket but one token
}

// perSecond returns the rate of n a second; burst 0 is as many as come in a
// second.
func perSecond(n, burst int) rate {
	if n == 0 {
		return rate{}
	}
	if burst == 0 {
		burst = n
	}
	interval := time.Second / time.Duration(n)
	return rate{interval, interval * time.Duration(burst-1)}
}

// isSet reports whether there is a bound.
func (r rate) isSet() bool { return r.interval != 0 }

// refills reports whether an empty bucket is full again after a time.
func (r rate) refills(after time.Duration) bool { return after > r.depth }

// next returns when a bucket that is full again at full will be so after one
// more token is taken at now; ok is false where there is none.
func (r rate) next(full, now time.Duration) (_ time.Duration, ok bool) {
	if full < now || full > now+r.depth+r.interval {
		// It's full; a time that this rate can't have led to is another one's.
		full = now
	}
	return full + r.interval, full <= now+r.depth
}

// bucket is shared by all shards. The zero value is full.
type bucket struct{ full atomic.Int64 } // ns since the server's start

// take takes a token, if there is one.
func (b *bucket) take(r rate, now time.Duration) bool {
	for {
		full := b.full.Load()
		next, ok := r.next(time.Duration(full), now)
		if !ok || b.full.CompareAndSwap(full, int64(next)) {
			return ok
		}
	}
}

// allowance is the bucket of one connection, in 4 bytes: the time at which it
// is full again in grains, which go round after five days. The zero value is
// full.
type allowance uint32

// grain is the resolution of an allowance: at 1000 a second, the most that is
// allowed, the interval is ten.
const grain = 100 * time.Microsecond

// has reports whether n tokens are there.
func (a *allowance) has(r rate, n int, now time.Duration) bool {
	at := uint32(now / grain)
	full := time.Duration(int32(uint32(*a)-at)) * grain
	if full < 0 || full > r.depth+r.interval {
		full = 0
	}
	return full+time.Duration(n-1)*r.interval <= r.depth
}

// take takes a token, if there is one; rested says that none was missing.
func (a *allowance) take(r rate, now time.Duration) (ok, rested bool) {
	at := uint32(now / grain)
	ahead := time.Duration(int32(uint32(*a)-at)) * grain
	next, ok := r.next(ahead, 0)
	if ok {
		*a = allowance(at + uint32((next+grain/2)/grain))
	}
	return ok, ahead <= 0 || ahead > r.depth+r.interval
}

// ahead returns how long it takes until the allowance is full again, most at most.
func (a *allowance) ahead(now, most time.Duration) time.Duration {
	ahead := time.Duration(int32(uint32(*a)-uint32(now/grain))) * grain
	if ahead > most {
		return 0 // a time long ago: they go round
	}
	return max(0, ahead)
}

// charge takes something that takes as long to come back, though no more than most is owed.
func (a *allowance) charge(cost, now, most time.Duration) {
	*a = allowance((now + min(a.ahead(now, most)+cost, most)) / grain)
}
