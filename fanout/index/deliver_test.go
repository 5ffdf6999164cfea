package index

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
)

// fill makes a channel with n subscribers, connections 0 to n-1.
func fill(x *Index, name string, n int) (Channel, []List) {
	ch := x.Open([]byte(name))
	lists := make([]List, n)
	for i := range lists {
		x.Subscribe(&lists[i], uint32(i), ch)
	}
	return ch, lists
}

func publishText(x *Index, ch Channel, seq uint32, payload string) *message.Message {
	m := message.New(x.Name(ch), message.Position{Node: "n", Seq: uint64(seq)}, seq, []byte(payload))
	x.Publish(ch, m)
	return m
}

func TestDeliverTakesTurns(t *testing.T) {
	x := New()
	huge, _ := fill(x, "huge", 10_000)
	other, _ := fill(x, "other", 300)
	publishText(x, huge, 1, "1")
	publishText(x, other, 1, "2")
	smaller := x.Open([]byte("smaller"))
	lists := make([]List, fewSubscribers+1)
	for i := range lists {
		x.Subscribe(&lists[i], 77_777, smaller)
	}
	publishText(x, smaller, 1, "3")

	before, after, others := 0, 0, 0
	for more := true; more; {
		var sent int
		sent, more = x.Deliver(100, func(conn uint32, b *Batch) {
			switch {
			case conn == 77_777:
				after = before
			case b.Messages()[0].Channel == "huge":
				before++
			default:
				others++
			}
		})
		if sent > 100 {
			t.Fatalf("%d sends, want at most 100", sent)
		}
	}
	if after == 0 || after > 2*turnVisits {
		t.Errorf("the smaller channel had to wait for %d sends of the huge one, want at most %d", after, 2*turnVisits)
	}
	if before != 10_000 || others != 300 {
		t.Errorf("%d and %d sends, want 10000 and 300", before, others)
	}
}

// A channel with few subscribers doesn't wait for one with many, and a flood of messages
// to the former leaves the latter half of the sends.
func TestChannelsWithFewSubscribersGoFirst(t *testing.T) {
	const limit, hugeSize, huges, smalls = 64, 10_000, 3, 500
	x := New()
	for n := range huges {
		ch, _ := fill(x, fmt.Sprint("huge.", n), hugeSize)
		publishText(x, ch, 1, "1")
	}
	small := make([]Channel, smalls)
	lists := make([]List, smalls)
	for n := range small {
		small[n] = x.Open(fmt.Appendf(nil, "small.%d", n))
		x.Subscribe(&lists[n], uint32(hugeSize+n), small[n])
	}
	ofHuge, ofSmall := 0, 0
	send := func(conn uint32, _ *Batch) {
		if conn < hugeSize {
			ofHuge++
		} else {
			ofSmall++
		}
	}
	publishText(x, small[0], 1, "1")
	if x.Deliver(limit, send); ofSmall != 1 || ofHuge < limit/2 {
		t.Errorf("the first %d sends are %d of a small channel and %d of large ones", limit, ofSmall, ofHuge)
	}
	for seq := range uint32(20) {
		for _, ch := range small {
			publishText(x, ch, 2+seq, "1")
		}
		ofHuge, ofSmall = 0, 0
		if x.Deliver(limit, send); ofHuge != limit/2 || ofSmall != limit/2 {
			t.Fatalf("in a flood, %d sends are %d of small channels and %d of large ones", limit, ofSmall, ofHuge)
		}
	}
	for more := true; more; {
		_, more = x.Deliver(limit, send)
	}
	if messages, bytes := x.Pending(); messages != 0 || bytes != 0 {
		t.Errorf("%d messages are pending, %d bytes", messages, bytes)
	}
}

func TestDeliverVisitsNoMoreThanLimit(t *testing.T) {
	x := New()
	ch, lists := fill(x, "held", 1000)
	for _, l := range lists {
		x.Each(l, func(s Sub, _ Channel) { x.Hold(s, true) })
	}
	publishText(x, ch, 1, "1")
	calls := 0
	for more := true; more; calls++ {
		var sent int
		if sent, more = x.Deliver(100, func(uint32, *Batch) {}); sent != 0 {
			t.Fatalf("%d sends to held subscribers", sent)
		}
	}
	if calls != 10 {
		t.Errorf("%d calls of Deliver(100) for 1000 held subscribers, want 10", calls)
	}
	if sent, more := x.Deliver(0, nil); sent != 0 || more {
		t.Errorf("Deliver(0) = %d, %v, want 0, false", sent, more)
	}
}

func TestDeliverBatches(t *testing.T) {
	tests := map[string]struct {
		payloads []int // sizes
		want     []int // messages in each batch
	}{
		"one":                 {[]int{10}, []int{1}},
		"few":                 {[]int{10, 10, 10}, []int{3}},
		"many":                {slices.Repeat([]int{1}, 150), []int{64, 64, 22}},
		"bytes":               {slices.Repeat([]int{20_000}, 7), []int{3, 3, 1}},
		"larger than a batch": {[]int{1, 100_000, 100_000, 1}, []int{1, 1, 1, 1}},
		"exactly a batch":     {[]int{32 << 10, 32 << 10, 1}, []int{2, 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			x := New()
			ch, _ := fill(x, "c", 1)
			for i, size := range tt.payloads {
				publishText(x, ch, uint32(i+1), strings.Repeat("x", size))
			}
			var got []int
			for more := true; more; {
				_, more = x.Deliver(1000, func(_ uint32, b *Batch) { got = append(got, b.Count()) })
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("batches of %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBatchEncoded(t *testing.T) {
	x := New()
	ch, lists := fill(x, "c", 4)
	var all [3]*message.Message
	for i := range all {
		all[i] = publishText(x, ch, uint32(i+1), `{"a":1}`)
	}
	late, _ := x.Find(lists[1], ch)
	x.SetFrom(late, 1)
	latest, _ := x.Find(lists[2], ch)
	x.SetFrom(latest, 3)
	late3, _ := x.Find(lists[3], ch)
	x.SetFrom(late3, 1)

	firsts := map[uint32]int{0: 0, 1: 1, 3: 1}
	shared := map[int]*byte{}
	for more := true; more; {
		_, more = x.Deliver(10, func(conn uint32, b *Batch) {
			first, ok := firsts[conn]
			if !ok {
				t.Fatalf("%d gets a batch", conn)
			}
			delete(firsts, conn)
			if !slices.Equal(b.Messages(), all[first:]) {
				t.Fatalf("%d gets %d messages from %d", conn, b.Count(), b.Messages()[0].Seq)
			}
			for f := range message.Forms {
				var want []byte
				for i, m := range all[first:] {
					if i > 0 && (f == message.FormJSON || f == message.FormData) {
						want = append(want, ',')
					}
					want = append(want, m.Encoded(f)...)
				}
				got := b.Encoded(f)
				if !bytes.Equal(got, want) {
					t.Errorf("form %d for %d: %q, want %q", f, conn, got, want)
				}
				if &got[0] != &b.Encoded(f)[0] {
					t.Errorf("form %d is made twice", f)
				}
			}
			at := &b.Encoded(message.FormText)[0]
			if shared[first] != nil && shared[first] != at {
				t.Errorf("the batch from %d is encoded for each subscriber", first)
			}
			shared[first] = at
		})
	}
	if len(firsts) != 0 {
		t.Errorf("without a batch: %v", firsts)
	}
}

func TestBatchOfOneSharesTheMessage(t *testing.T) {
	x := New()
	ch, _ := fill(x, "c", 1)
	m := publishText(x, ch, 1, "1")
	x.Deliver(10, func(_ uint32, b *Batch) {
		if &b.Encoded(message.FormText)[0] != &m.Encoded(message.FormText)[0] {
			t.Error("a single message is copied")
		}
	})
}

// The messages and encodings of a batch stay valid for later sends, while the channel goes on.
func TestBatchOutlivesItsCall(t *testing.T) {
	x := New()
	ch, _ := fill(x, "c", 1)
	var want, got []*message.Message
	deliver := func(n int, send func(conn uint32, b *Batch)) {
		for range n {
			want = append(want, publishText(x, ch, uint32(len(want)+1), "1"))
		}
		for more := true; more; {
			_, more = x.Deliver(10, send)
		}
	}
	var encoded []byte
	deliver(3, func(_ uint32, b *Batch) { got, encoded = b.Messages(), b.Encoded(message.FormText) })
	text := string(encoded)
	deliver(5, func(uint32, *Batch) {})
	if !slices.Equal(got, want[:3]) || string(encoded) != text {
		t.Errorf("the batch has become %v, %q", got, encoded)
	}
}

// TestNotice delivers a gap to the subscribers of its time, in its place.
func TestNotice(t *testing.T) {
	x := New()
	ch, lists := fill(x, "c", 2)
	s, _ := x.Find(lists[0], ch)
	x.SetFrom(s, 5) // joined at 5, as the gap that follows is reported
	ahead, _ := x.Find(lists[1], ch)
	x.SetFrom(ahead, 6)
	publishText(x, ch, 5, "5")
	x.Publish(ch, message.NewNotice("c", 5, func(f message.Form) []byte {
		if f == message.FormJSON {
			return nil
		}
		return []byte("gap")
	}))
	six, seven := publishText(x, ch, 6, "6"), publishText(x, ch, 7, "7")
	got, json := map[uint32]string{}, map[uint32]string{}
	x.Deliver(10, func(conn uint32, b *Batch) {
		got[conn] += string(b.Encoded(message.FormText))
		json[conn] += string(b.Encoded(message.FormJSON))
	})
	if want := "gap" + string(six.Encoded(message.FormText)) + string(seven.Encoded(message.FormText)); got[0] != want {
		t.Errorf("got %q, want %q", got[0], want)
	}
	if want := string(six.Encoded(message.FormJSON)) + "," + string(seven.Encoded(message.FormJSON)); json[0] != want {
		t.Errorf("JSON is %q, want %q", json[0], want)
	}
	if want := string(seven.Encoded(message.FormText)); got[1] != want {
		t.Errorf("the one ahead got %q, want %q", got[1], want)
	}
}

// TestFromIsForgotten lets the count go once around: a start that stayed
// would be ahead of the channel again.
func TestFromIsForgotten(t *testing.T) {
	x := New()
	ch, lists := fill(x, "c", 1)
	s, _ := x.Find(lists[0], ch)
	x.SetFrom(s, 1)
	got := 0
	for _, seq := range []uint32{1, 2, 1 << 30, 1<<31 + 3, 3 << 30, 0} {
		publishText(x, ch, seq, "1")
		x.Deliver(10, func(uint32, *Batch) { got++ })
	}
	if got != 5 {
		t.Errorf("%d messages, want 5", got)
	}
}

func TestReleaseWaitsForPendingMessages(t *testing.T) {
	x := New()
	ch, lists := fill(x, "c", 2)
	publishText(x, ch, 1, "1")
	for i := range lists {
		x.Unsubscribe(&lists[i], ch)
	}
	x.Release(ch)
	if _, ok := x.Lookup([]byte("c")); ok {
		t.Error("a released channel is found")
	}
	if again := x.Open([]byte("c")); again != ch {
		t.Errorf("opened again as %d, want %d", again, ch)
	}
	x.Release(ch)
	sent, more := x.Deliver(10, func(uint32, *Batch) {})
	if sent != 0 || more || x.Channels() != 0 {
		t.Errorf("sent %d, more %v, %d channels; want none", sent, more, x.Channels())
	}
	if n, size := x.Pending(); n != 0 || size != 0 {
		t.Errorf("%d messages, %d bytes pending", n, size)
	}
}

func TestPublishToNobody(t *testing.T) {
	x := New()
	publishText(x, x.Open([]byte("c")), 1, "1")
	if n, _ := x.Pending(); n != 0 {
		t.Errorf("%d messages pending, want 0", n)
	}
}

// TestBurstIsForgotten publishes to many channels at once: their delivery
// records must not stay.
func TestBurstIsForgotten(t *testing.T) {
	x := New()
	const n = 4 * idleDeliveries
	lists := make([]List, n)
	m := message.New("any", message.Position{}, 1, []byte("1"))
	for range 3 {
		for i := range lists {
			ch := x.Open([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676)})
			x.Subscribe(&lists[i], uint32(i), ch)
			x.Publish(ch, m)
		}
		got := 0
		for more := true; more; {
			var sent int
			sent, more = x.Deliver(500, func(uint32, *Batch) { got++ })
			if sent == 0 {
				t.Fatal("nothing was sent")
			}
		}
		if got != n {
			t.Fatalf("%d sends, want %d", got, n)
		}
		if len(x.deliveries) > idleDeliveries || len(x.turns.list) > idleDeliveries {
			t.Errorf("%d delivery records and a ring of %d stay", len(x.deliveries), len(x.turns.list))
		}
	}
}

func TestDeliverAllocatesNothing(t *testing.T) {
	x := New()
	ch, _ := fill(x, "c", 100)
	small, _ := fill(x, "small", 1)
	m := message.New("c", message.Position{}, 1, []byte("1"))
	m.Encoded(message.FormText)
	size := 0
	send := func(_ uint32, b *Batch) { size += len(b.Encoded(message.FormText)) }
	n := testing.AllocsPerRun(100, func() {
		x.Publish(ch, m)
		x.Publish(small, m)
		for more := true; more; {
			_, more = x.Deliver(64, send)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for 101 sends, want 0", n)
	}
	if size == 0 {
		t.Error("nothing was sent")
	}
}
