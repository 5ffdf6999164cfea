package queue

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/fanout/message"
)

// newQueue returns a queue of a shard's set.
func newQueue(y *Set) *Queue {
	_, q := y.Open(0)
	return q
}

// check compares a queue's figures with its items.
func (q *Queue) check(t *rapid.T) {
	var bytes, count, live, held, waiting int
	last := map[string]bool{} // channels of which the newest waits
	for i := q.head; i < len(q.items); i++ {
		it := &q.items[i]
		if it.b == nil {
			continue
		}
		live++
		bytes, count, held = bytes+len(it.b), count+int(it.count), held+int(it.cost)
		if waiting += int(it.cost); i == q.head {
			waiting = 0
		}
		if it.whole() < cap(it.b) {
			t.Fatalf("item %d is counted with %d bytes, and keeps %d", i, it.whole(), cap(it.b))
		}
		if it.from == nil && it.kind&Own == 0 && it.whole() <= SmallBytes {
			t.Fatalf("item %d of %d bytes is shared", i, it.whole())
		}
		if it.kind&Latest == 0 || i < q.first() {
			continue
		}
		if last[it.from.Channel] {
			t.Fatalf("two of %s wait", it.from.Channel)
		}
		if last[it.from.Channel] = true; q.drops.newest[it.from.Channel] != i {
			t.Fatalf("the newest of %s is %d, not %d", it.from.Channel, i, q.drops.newest[it.from.Channel])
		}
	}
	tables := q.drops.held
	if q.drops.newest != nil {
		tables += tableBytes
	}
	if live > 0 || q.front != nil {
		bytes, held = bytes+len(q.Front()), held+cap(q.front)+queueBytes+tables
	}
	if bytes != q.Bytes || count != q.count || live != q.live || held != q.Held || live > 0 && waiting+tables != q.Waiting() {
		t.Fatalf("%d bytes, %d messages, %d items, %d held, %d waiting; the queue says %d, %d, %d, %d, %d",
			bytes, count, live, held, waiting+tables, q.Bytes, q.count, q.live, q.Held, q.Waiting())
	}
	if live > 0 && q.items[q.head].b == nil {
		t.Fatal("the first item was dropped")
	}
	if n := cap(q.items); n > 2*live+2*spareItems+1 {
		t.Fatalf("there is room for %d items, %d wait", n, live)
	}
	weight := q.burden() + q.Held/1024
	if live == 0 && q.front == nil {
		weight = 0
	}
	if q.bucket != BucketOf(weight) {
		t.Fatalf("of weight %d, but in bucket %d", weight, q.bucket)
	}
}

// The queue against its client's stream: whole messages in order, all that mustn't be dropped, the
// newest of channels where that counts, and a gap wherever others are missing.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := &Set{all: new(Total)}
		q := newQueue(y)
		var from Origins
		var read []byte
		seq, newest, sent := 0, map[string]int{}, map[string][]int{}
		text := func(t *rapid.T, channel string) []byte {
			seq++
			sent[channel] = append(sent[channel], seq)
			size := rapid.SampledFrom([]int{0, 1, 30, SmallBytes, 700, LargeBytes}).Draw(t, "size")
			return fmt.Appendf(nil, "%s %d %s\n", channel, seq, strings.Repeat("x", size))
		}
		cut := false // pending items are dropped without a gap: the client is closed
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				channel := rapid.SampledFrom([]string{"keep", "own", "past", "old.a", "old.b", "new.a", "new.b"}).Draw(t, "channel")
				b := text(t, channel)
				kind, m := Kind(0), (*Origin)(nil)
				switch {
				case channel == "own":
					kind = Own
				case channel == "past":
					kind = History
				case strings.HasPrefix(channel, "new"):
					q.Replace(channel)
					kind, newest[channel] = Latest, seq
					fallthrough
				case strings.HasPrefix(channel, "old"):
					m = from.Of(message.New(channel, message.Position{Node: "n", Seq: uint64(seq)}, uint32(seq), nil))
				}
				q.Add(b, cap(b), m, kind)
			},
			"sent": func(t *rapid.T) {
				most := q.Bytes
				if rapid.Bool().Draw(t, "few") {
					most = min(most, 100)
				}
				n := rapid.IntRange(0, most).Draw(t, "n")
				for n > 0 {
					if b := q.Front(); len(b) > 0 {
						b = b[:min(n, len(b))]
						n -= len(b)
						read = append(read, b...)
						q.SentFront(len(b))
						continue
					}
					b := bytes.Join(q.Pending(make([][]byte, 0, 3)), nil)
					b = b[:min(n, len(b))]
					n -= len(b)
					read = append(read, b...)
					q.Sent(len(b))
				}
			},
			"seal": func(t *rapid.T) {
				b := bytes.Join(q.Pending(make([][]byte, 0, 3)), nil)
				if len(b) == 0 {
					t.Skip()
				}
				b = b[:rapid.IntRange(1, len(b)).Draw(t, "n")]
				q.AddFront(b)
				q.Sent(len(b))
			},
			"drop oldest": func(t *rapid.T) {
				limit := rapid.IntRange(0, 4000).Draw(t, "limit")
				before := q.Waiting()
				dropped := q.dropOldest(limit, func(o *Origin) []byte {
					return fmt.Appendf(nil, "gap %s %d\n", o.Channel, o.Before.Seq)
				})
				if before <= limit && dropped > 0 {
					t.Fatalf("dropped %d, though only %d bytes waited of %d", dropped, before, limit)
				}
				if q.Waiting() <= limit || q.live < 2 {
					return
				}
				for _, it := range q.items[q.head+1 : len(q.items)-1] {
					if it.from != nil && it.kind&Latest == 0 {
						t.Fatalf("%d bytes are left over %d, and a message that may go", q.Waiting(), limit)
					}
				}
			},
			"drop unsent": func(t *rapid.T) {
				if seq%20 != 0 {
					t.Skip()
				}
				rest := len(q.Front())
				if q.begun {
					rest += len(q.items[q.head].b)
				}
				if q.DropUnsent(); q.Bytes != rest {
					t.Fatalf("%d bytes are left, want %d", q.Bytes, rest)
				}
				cut = true
			},
			"reset": func(t *rapid.T) {
				if seq%30 == 0 {
					q.Reset()
					read, cut, newest, sent = nil, false, map[string]int{}, map[string][]int{}
					seq = 0
				}
			},
			"": func(t *rapid.T) {
				q.check(t)
				if held := int64(q.Held); y.Bytes < held-3*LargeBytes*int64(len(y.large)) || len(y.large) == 0 && y.Bytes != held || y.all.Bytes.Load() != y.Bytes {
					t.Fatalf("%d bytes are held; counted are %d and %d", held, y.Bytes, y.all.Bytes.Load())
				}
				if q.live == 0 && len(y.large) > 0 {
					t.Fatal("the set has what nobody has")
				}
			},
		})
		read = append(append(read, q.Front()...), bytes.Join(q.rest(), nil)...)
		if !cut {
			checkRead(t, string(read), newest, sent)
		}
	})
}

// rest returns all buffers that wait.
func (q *Queue) rest() (all [][]byte) {
	for _, it := range q.items[q.head:] {
		if it.b != nil {
			all = append(all, it.b)
		}
	}
	return all
}

// checkRead checks the stream of a client of TestQueueModel: newest are the newest messages by
// channel where only these count, sent all of them.
func checkRead(t *rapid.T, text string, newest map[string]int, sent map[string][]int) {
	last, gap := map[string]int{}, map[string]int{}
	// missing fails the test for messages of a channel before n that were neither read nor covered
	// by a gap.
	missing := func(channel string, n int) {
		if strings.HasPrefix(channel, "new") {
			return
		}
		for len(sent[channel]) > 0 && sent[channel][0] < n {
			first := sent[channel][0]
			sent[channel] = sent[channel][1:]
			if since, told := gap[channel]; !told || since >= first {
				t.Fatalf("message %d of %s is missing before %d", first, channel, n)
			}
		}
	}
	for line := range strings.Lines(text) {
		var word, channel string
		var n int
		if strings.HasPrefix(line, "gap ") {
			if _, err := fmt.Sscan(line, &word, &channel, &n); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if n < last[channel] {
				t.Fatalf("a gap since %d after message %d of %s", n, last[channel], channel)
			}
			if _, told := gap[channel]; !told {
				gap[channel] = n
			}
			continue
		}
		if _, err := fmt.Sscan(line, &channel, &n); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%.60q: %v", line, err)
		}
		if n <= last[channel] {
			t.Fatalf("message %d of %s came after %d", n, channel, last[channel])
		}
		missing(channel, n)
		if !strings.HasPrefix(channel, "new") {
			sent[channel] = sent[channel][1:]
		}
		last[channel] = n
		delete(gap, channel)
	}
	for channel := range sent {
		missing(channel, 1<<30)
	}
	for channel, n := range newest {
		if last[channel] != n {
			t.Fatalf("the newest of %s is %d, the last that was read %d", channel, n, last[channel])
		}
	}
}
