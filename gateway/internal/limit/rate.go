package limit

import (
	"sync/atomic"
	"time"
)

// Rate is how often something may happen: steadily, or, after a pause, in a burst. The zero value
// has no bound.
//
// It's a token bucket in the form of the generic cell rate algorithm (ITU-T I.371): the whole state
// of a bucket is the time at which it will be full again, so no clock has to fill it.
type Rate struct {
	interval time.Duration // per token
	depth    time.Duration // to refill all but one token
}

// PerSecond returns the rate of n a second; burst 0 is one second's worth.
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

// Refills reports whether an empty bucket is full again after a duration.
func (r Rate) Refills(after time.Duration) bool { return after > r.depth }

// next returns the time at which a bucket that is full at full will be full after one more token is
// taken at now; ok is false if no token is left.
func (r Rate) next(full, now time.Duration) (_ time.Duration, ok bool) {
	if full < now || full > now+r.depth+r.interval {
		// It's full; a time impossible under this rate is from another rate.
		full = now
	}
	return full + r.interval, full <= now+r.depth
}

// Bucket is shared by all shards. The zero value is full.
type Bucket struct{ full atomic.Int64 } // ns since the server's start

// Take takes a token, if one is left. Without a rate there always is.
func (b *Bucket) Take(r Rate, now time.Duration) bool {
	if !r.IsSet() {
		return true
	}
	for {
		full := b.full.Load()
		next, ok := r.next(time.Duration(full), now)
		if !ok || b.full.CompareAndSwap(full, int64(next)) {
			return ok
		}
	}
}

// Allowance is the bucket of one connection, in 4 bytes: the time at which it is full again in
// grains, which wrap around after five days. The zero value is full.
type Allowance uint32

// grain is the resolution of an allowance: at 1000 a second, the highest rate allowed, the interval
// is ten.
const grain = 100 * time.Microsecond

// Has reports whether n tokens are left.
func (a *Allowance) Has(r Rate, n int, now time.Duration) bool {
	at := uint32(now / grain)
	full := time.Duration(int32(uint32(*a)-at)) * grain
	if full < 0 || full > r.depth+r.interval {
		full = 0
	}
	return full+time.Duration(n-1)*r.interval <= r.depth
}

// Take takes a token, if one is left; rested says that the bucket was full.
func (a *Allowance) Take(r Rate, now time.Duration) (ok, rested bool) {
	at := uint32(now / grain)
	ahead := time.Duration(int32(uint32(*a)-at)) * grain
	next, ok := r.next(ahead, 0)
	if ok {
		*a = Allowance(at + uint32((next+grain/2)/grain))
	}
	return ok, ahead <= 0 || ahead > r.depth+r.interval
}

// Ahead returns the time until the allowance is full again, at most most.
func (a *Allowance) Ahead(now, most time.Duration) time.Duration {
	ahead := time.Duration(int32(uint32(*a)-uint32(now/grain))) * grain
	if ahead > most {
		return 0 // wrapped around: long ago
	}
	return max(0, ahead)
}

// Charge takes tokens worth cost of refill time; the debt never exceeds most.
func (a *Allowance) Charge(cost, now, most time.Duration) {
	*a = Allowance((now + min(a.Ahead(now, most)+cost, most)) / grain)
}
