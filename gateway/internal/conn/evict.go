package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// evictions are the clients to close because all inputs together passed Options.TotalInputBytes.
type evictions struct {
	victims []reactor.Key // some may be gone by their turn
	buckets []int64       // bytes by size and age; made when first needed
}

const (
	// victimsPerSlice is the number of clients closed before the next poll for events: about 1 ms.
	victimsPerSlice = 64
	// agesPerSize is the number of age classes per size.
	agesPerSize = 64
	// inputSizes is the number of size classes, up to 8 GiB by queue.BucketOf.
	inputSizes = 128
)

// limit is the threshold for closing clients: a sixteenth below the bound, because a set below
// its share lets an excess pass until another one notices.
func (k *Inputs) limit() (all, share int64) {
	all = int64(k.set.options.TotalInputBytes) / 16 * 15
	return all, all / int64(len(k.set.shared.sets))
}

// shed chooses clients to close while all inputs together pass the limit, in the sets above
// their share of it: those with the largest inputs, of these the oldest, down to nine tenths, so
// that it doesn't run on every read. Input that arrives meanwhile waits for the next call. It scans
// the inputs twice, unsorted: sorting would take tens of milliseconds for many small ones.
func (k *Inputs) shed() {
	limit, share := k.limit()
	if len(k.evictions.victims) > 0 || k.bytes <= share || k.set.shared.Inputs.Load() <= limit {
		return
	}
	excess := min(k.set.shared.Inputs.Load()-limit/10*9, k.bytes-share/10*9)
	e := &k.evictions
	if e.buckets == nil {
		e.buckets = make([]int64, inputSizes*agesPerSize)
	}
	clear(e.buckets)
	k.table.Each(func(_ uint32, in *input) { e.buckets[k.bucket(in)] += int64(in.held) })
	first := len(e.buckets) - 1
	for ; first > 0 && excess > e.buckets[first]; first-- {
		excess -= e.buckets[first]
	}
	k.table.Each(func(i uint32, in *input) {
		switch b := k.bucket(in); {
		case b < first, b == first && excess <= 0:
			return
		case b == first:
			excess -= int64(in.held)
		}
		e.victims = append(e.victims, k.set.Slots.Key(i))
	})
}

// bucket returns the index for an input's size and age, larger and then older ones later.
func (k *Inputs) bucket(in *input) int {
	age := min(int(k.set.Clock.now-in.since)/8, agesPerSize-1)
	return min(int(queue.BucketOf(in.held)), inputSizes-1)*agesPerSize + age
}

// bound makes room for the latest read, so that getting below the bound doesn't wait for the
// rest of the round's events.
func (k *Inputs) bound() {
	k.shed()
	limit, _ := k.limit()
	for n := 0; n < victimsPerSlice && k.set.shared.Inputs.Load() > limit && k.endVictims(1); n++ {
	}
}

// endVictims closes the next chosen clients, up to most of them.
func (k *Inputs) endVictims(most int) (more bool) {
	e := &k.evictions
	n := min(len(e.victims), most)
	for _, v := range e.victims[:n] {
		if c := k.set.Slots.find(v.Slot, v.Gen); c != nil && c.state == stateOpen && c.flags&flagInput != 0 {
			if c.flags&(flagShaking|flagRejected) != 0 {
				k.set.Secure.fail(v.Slot, c, reasons.TLSOverload)
			} else {
				if c.flags&flagPartial != 0 {
					k.set.Secure.count(reasons.TLSOverload)
				}
				k.set.handler.EvictInput(v.Slot)
			}
			k.set.Secure.freePartial(v.Slot, c)
			k.Free(v.Slot) // now: the next client is closed only if that isn't enough
		}
	}
	if e.victims = e.victims[n:]; len(e.victims) == 0 {
		e.victims = nil
	}
	return len(e.victims) > 0
}
