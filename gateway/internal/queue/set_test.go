package queue

import (
	"testing"

	"pgregory.net/rapid"
)

// The tallies against the queues that they count, some of whose items share buffers, and the order
// of these by burden.
func TestTallyModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := new(Total)
		var queues []*Queue
		for range 2 { // shards
			y := &Set{all: all}
			queues = append(queues, newQueue(y), newQueue(y))
		}
		buffers := [][]byte{make([]byte, 100), make([]byte, 1000), make([]byte, LargeBytes), make([]byte, 3*LargeBytes)}
		some := func(t *rapid.T) *Queue { return rapid.SampledFrom(queues).Draw(t, "queue") }
		// count returns the memory of all items of some queues.
		count := func(queues []*Queue) (n int64) {
			large := map[*byte]int{}
			for _, q := range queues {
				n += int64(q.Held)
				for i := q.head; i < len(q.items); i++ {
					if it := &q.items[i]; it.kind&itemLarge != 0 {
						n -= int64(it.whole())
						large[&it.b[len(it.b)-1]] = it.whole()
					}
				}
			}
			for _, whole := range large {
				n += int64(whole)
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				b := rapid.SampledFrom(buffers).Draw(t, "buffer")
				kind := Kind(0)
				if rapid.Bool().Draw(t, "own") {
					kind = Own
				}
				some(t).Add(b[rapid.IntRange(0, 99).Draw(t, "sent"):], cap(b), nil, kind)
			},
			"sent": func(t *rapid.T) {
				q := some(t)
				q.Sent(rapid.IntRange(0, q.Bytes).Draw(t, "n"))
			},
			"drop unsent": func(t *rapid.T) { some(t).DropUnsent() },
			"reset":       func(t *rapid.T) { some(t).Reset() },
			"": func(t *rapid.T) {
				for i := 0; i < len(queues); i += 2 {
					y, most := queues[i].Set, uint16(0)
					if n := count(queues[i : i+2]); y.Bytes != n {
						t.Fatalf("shard %d: counted are %d, there are %d", i/2, y.Bytes, n)
					}
					for _, q := range queues[i : i+2] {
						q.check(t)
						most = max(most, q.bucket)
					}
					if q := y.Heaviest(); q == nil && most > 0 || q != nil && q.bucket != most {
						t.Fatalf("shard %d: the heaviest is in bucket %d, not %v", i/2, most, q)
					}
				}
				if n := count(queues); all.Bytes.Load() != n {
					t.Fatalf("counted are %d, there are %d", all.Bytes.Load(), n)
				}
			},
		})
	})
}

// The buckets are in order of the weights, and a quarter of a power of two wide.
func TestBucketOf(t *testing.T) {
	last := uint16(0)
	for _, weight := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 1 << 20, 1<<62 + 1<<61, 1<<63 - 1} {
		bucket := BucketOf(weight)
		if bucket < last || bucket > maxBucket || weight < 24 && weight > 0 && bucket == last {
			t.Errorf("%d is in bucket %d, the weight below it in %d", weight, bucket, last)
		}
		last = bucket
	}
	if BucketOf(-1) != 0 || last != maxBucket {
		t.Errorf("-1 is in bucket %d, the largest in %d of %d", BucketOf(-1), last, maxBucket)
	}
}
