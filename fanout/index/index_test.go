package index

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/pushgate/pushgate/fanout/message"
)

// TestSizes guards the types of which there are millions of values.
func TestSizes(t *testing.T) {
	tests := map[string]struct{ got, most uintptr }{
		"subscription": {unsafe.Sizeof(subscription{}), 24},
		"channelEntry": {unsafe.Sizeof(channelEntry{}), 28},
		"delivery":     {unsafe.Sizeof(delivery{}), 80},
	}
	for name, tt := range tests {
		if tt.got > tt.most {
			t.Errorf("%s has %d bytes, want at most %d", name, tt.got, tt.most)
		}
	}
	text, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if row := fmt.Sprintf("| subscription | %d |", unsafe.Sizeof(subscription{})); err != nil || !strings.Contains(string(text), row) {
		t.Errorf("ARCHITECTURE.md has no row %q: %v", row, err)
	}
}

func TestIndexReusesWhatIsReleased(t *testing.T) {
	x := New()
	round := func(r int) {
		var lists [3000]List
		for i := range lists {
			name := fmt.Appendf(nil, "user.%d.%d", r, i)
			x.Subscribe(&lists[i], uint32(i), x.Open(name))
		}
		for i := range lists {
			x.Each(lists[i], func(_ Sub, ch Channel) {
				x.Unsubscribe(&lists[i], ch)
				x.Release(ch)
			})
		}
	}
	round(10)
	channels, subs, names := x.channels.Last(), x.subs.Last(), len(x.names.chunks)
	for r := range 20 {
		round(11 + r)
	}
	if x.channels.Last() != channels || x.subs.Last() != subs || len(x.names.chunks) != names {
		t.Errorf("grew from %d channels, %d subscriptions, %d name chunks to %d, %d, %d",
			channels, subs, names, x.channels.Last(), x.subs.Last(), len(x.names.chunks))
	}
	if x.Channels() != 0 || x.Subscriptions() != 0 {
		t.Errorf("%d channels and %d subscriptions are left", x.Channels(), x.Subscriptions())
	}
}

func TestNameArenaUsesTheEndOfAChunk(t *testing.T) {
	var a nameArena
	long := []byte(strings.Repeat("x", message.MaxChannelBytes))
	places := map[uint32]bool{}
	for range nameChunkBytes/len(long) + 1 {
		places[a.put(long)] = true
	}
	if len(a.chunks) != 2 {
		t.Fatalf("%d chunks, want 2", len(a.chunks))
	}
	left := nameChunkBytes % len(long)
	short := a.put(long[:left])
	if short/nameChunkUnits != 0 || places[short] {
		t.Errorf("place %d is not the rest of the first chunk", short)
	}
	for place := range places {
		if string(a.get(place, len(long))) != string(long) {
			t.Errorf("name at %d is damaged", place)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	x := New()
	name := []byte("news")
	ch := x.Open(name)
	buf := make([]byte, 0, 64)
	var l List
	n := testing.AllocsPerRun(100, func() {
		if got, ok := x.Lookup(name); !ok || got != ch {
			t.Fatal("not found")
		}
		buf = x.AppendName(buf[:0], x.Open(name))
		x.Subscribe(&l, 7, ch)
		x.Unsubscribe(&l, ch)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestEachChannelGoesOnWhereItStopped(t *testing.T) {
	x := New()
	var list List
	want := []string{}
	for i := range 3 * 1024 {
		name := fmt.Sprintf("c%d", i)
		ch := x.Open([]byte(name))
		x.Subscribe(&list, 1, ch)
		if i%3 == 0 {
			x.Unsubscribe(&list, ch)
			x.Release(ch)
		}
	}
	x.Each(list, func(_ Sub, ch Channel) { want = append(want, x.Name(ch)) })
	for _, slice := range []int{1, 7, 1 << 20} {
		got := []string{}
		for next := Channel(1); next != 0; {
			n := 0
			next = x.EachChannel(next, func(ch Channel) bool {
				got = append(got, x.Name(ch))
				n++
				return n < slice
			})
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("slices of %d: %d channels, want %d", slice, len(got), len(want))
		}
	}
	if next := x.EachChannel(1<<20, func(Channel) bool { t.Error("a channel after the last"); return true }); next != 0 {
		t.Errorf("goes on at %d after the end", next)
	}
}
