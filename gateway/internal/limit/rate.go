package limit

import (
	"sync/atomic"
	"time"
)

// Rate is how often something may happen: in a steady stream, or, after a
// pause, at once up to a burst. The zero value has no bound.
//
// It's a token bucket in the form of the generic cell rate algorithm (ITU-T
// I.371): the whole state of a bucket is the time at which it will be full
// again, so that no clock has to fill it.
type Rate struct {
	interval time.Duration // in which one token comes
	depth    time.Duration // to fill all of the bucket but one token
}

// PerSecond returns the rate of n a second; burst 0 is as many as come in a
// second.
func PerSecond(n, burst int) Rate {
	if n == 0 {
		return Rate{}
	}
	if burst == 0 {
		burst = n
	}
	interval := time.Second / time.Duration(n)
	return Rate{interval, interval * time.Duration(burst-1)}
}

// IsSet reports whether there is a bound.
func (r Rate) IsSet() bool { return r.interval != 0 }

// Refills reports whether an empty bucket is full again after a time.
func (r Rate) Refills(after time.Duration) bool { return after > r.depth }

// next returns when a bucket that is full again at full will be so after one
// more token is taken at now; ok is false where there is none.
func (r Rate) next(full, now time.Duration) (_ time.Duration, ok bool) {
	if full < now || full > now+r.depth+r.interval {
		// It's full; a time that this rate can't have led to is another one's.
		full = now
	}
	return full + r.interval, full <= now+r.depth
}

// Bucket is shared by all shards. The zero value is full.
type Bucket struct{ full atomic.Int64 } // ns since the server's start

// Take takes a token, if there is one.
func (b *Bucket) Take(r Rate, now time.Duration) bool {
	for {
		full := b.full.Load()
		next, ok := r.next(time.Duration(full), now)
		if !ok || b.full.CompareAndSwap(full, int64(next)) {
			return ok
		}
	}
}

// Allowance is the bucket of one connection, in 4 bytes: the time at which it
// is full again in grains, which go round after five days. The zero value is
// full.
type Allowance uint32

// grain is the resolution of an allowance: at 1000 a second, the most that is
// allowed, the interval is ten.
const grain = 100 * time.Microsecond

// Has reports whether n tokens are there.
func (a *Allowance) Has(r Rate, n int, now time.Duration) bool {
	at := uint32(now / grain)
	full := time.Duration(int32(uint32(*a)-at)) * grain
	if full < 0 || full > r.depth+r.interval {
		full = 0
	}
	return full+time.Duration(n-1)*r.interval <= r.depth
}

// Take takes a token, if there is one; rested says that none was missing.
func (a *Allowance) Take(r Rate, now time.Duration) (ok, rested bool) {
	at := uint32(now / grain)
	ahead := time.Duration(int32(uint32(*a)-at)) * grain
	next, ok := r.next(ahead, 0)
	if ok {
		*a = Allowance(at + uint32((next+grain/2)/grain))
	}
	return ok, ahead <= 0 || ahead > r.depth+r.interval
}

// Ahead returns how long it takes until the allowance is full again, most at most.
func (a *Allowance) Ahead(now, most time.Duration) time.Duration {
	ahead := time.Duration(int32(uint32(*a)-uint32(now/grain))) * grain
	if ahead > most {
		return 0 // a time long ago: they go round
	}
	return max(0, ahead)
}

// Charge takes something that takes as long to come back, though no more than most is owed.
func (a *Allowance) Charge(cost, now, most time.Duration) {
	*a = Allowance((now + min(a.Ahead(now, most)+cost, most)) / grain)
}
