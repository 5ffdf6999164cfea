package gateway

import "math/bits"

// ranks are a shard's queues in order of what their clients are to blame for, by
// quarters of a power of two, so that the heaviest is found without looking at
// the others.
type ranks struct {
	first [maxBucket + 1]uint32    // of each bucket's queues, by index; 0 = none
	some  [maxBucket/64 + 1]uint64 // bits: buckets that have any
}

// maxBucket is that of the largest int.
const maxBucket = 4*(63-2) + 3

// bucketOf returns the bucket of a weight, 0 for none.
func bucketOf(weight int) uint16 {
	if weight < 4 {
		return uint16(max(weight, 0))
	}
	n := bits.Len(uint(weight))
	return uint16(4*(n-2) + weight>>(n-3)&3)
}

// rank puts a queue where it belongs by its weight, or nowhere with none.
func (t *set) rank(q *queue, weight int) {
	r := &t.ranks
	bucket := bucketOf(weight)
	if bucket == q.bucket {
		return
	}
	if old := q.bucket; old != 0 {
		if q.next != 0 {
			t.queues.at(q.next).prev = q.prev
		}
		if q.prev != 0 {
			t.queues.at(q.prev).next = q.next
		} else if r.first[old] = q.next; q.next == 0 {
			r.some[old/64] &^= 1 << (old % 64)
		}
	}
	q.bucket, q.prev, q.next = bucket, 0, 0
	if bucket == 0 {
		return
	}
	if q.next = r.first[bucket]; q.next != 0 {
		t.queues.at(q.next).prev = q.index
	}
	r.first[bucket] = q.index
	r.some[bucket/64] |= 1 << (bucket % 64)
}

// heaviest returns one of the queues in the highest bucket, nil when there are
// none.
func (t *set) heaviest() *queue {
	for i := len(t.ranks.some) - 1; i >= 0; i-- {
		if set := t.ranks.some[i]; set != 0 {
			return t.queues.at(t.ranks.first[64*i+bits.Len64(set)-1])
		}
	}
	return nil
}
