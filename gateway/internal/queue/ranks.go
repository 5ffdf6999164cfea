package queue

import "math/bits"

// ranks order a shard's queues by burden, in quarters of a power of two, so that the heaviest is
// found without a scan.
type ranks struct {
	first [maxBucket + 1]uint32    // head of each bucket's list, by index; 0 = empty
	some  [maxBucket/64 + 1]uint64 // bit set of non-empty buckets
}

// maxBucket is the bucket of the largest int.
const maxBucket = 4*(63-2) + 3

// BucketOf returns the bucket of a weight, 0 for none.
func BucketOf(weight int) uint16 {
	if weight < 4 {
		return uint16(max(weight, 0))
	}
	n := bits.Len(uint(weight))
	return uint16(4*(n-2) + weight>>(n-3)&3)
}

// rank moves a queue to the bucket of its weight, or out of all with none.
func (t *Set) rank(q *Queue, weight int) {
	r := &t.ranks
	bucket := BucketOf(weight)
	if bucket == q.bucket {
		return
	}
	if old := q.bucket; old != 0 {
		if q.next != 0 {
			t.queues.At(q.next).prev = q.prev
		}
		if q.prev != 0 {
			t.queues.At(q.prev).next = q.next
		} else if r.first[old] = q.next; q.next == 0 {
			r.some[old/64] &^= 1 << (old % 64)
		}
	}
	q.bucket, q.prev, q.next = bucket, 0, 0
	if bucket == 0 {
		return
	}
	if q.next = r.first[bucket]; q.next != 0 {
		t.queues.At(q.next).prev = q.index
	}
	r.first[bucket] = q.index
	r.some[bucket/64] |= 1 << (bucket % 64)
}

// Heaviest returns one of the queues in the highest bucket, nil when there are
// none.
func (t *Set) Heaviest() *Queue {
	for i := len(t.ranks.some) - 1; i >= 0; i-- {
		if set := t.ranks.some[i]; set != 0 {
			return t.queues.At(t.ranks.first[64*i+bits.Len64(set)-1])
		}
	}
	return nil
}
