package fanout

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

func TestInspect(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.url()))
	if got := b.Inspect("news"); got != (ChannelInfo{}) {
		t.Fatalf("a channel that nobody wants: %+v", got)
	}
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	if got := b.Inspect("news"); !got.Known || !got.Live || !got.Durable.IsZero() || got.RingMessages != 0 {
		t.Fatalf("a channel without messages: %+v", got)
	}
	first := server.publishDurable("news", "one", 100)
	id, err := b.Publish(context.Background(), "news", []byte("two"), PublishOptions{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	server.publish("news", "three")
	last := r.wait(t, "news", 4)[3].msg.ID
	got := b.Inspect("news")
	if got.Durable.String() != id || got.Plain != last || got.RingMessages != 3 || got.RingFirst.String() != first || got.RingBytes == 0 {
		t.Fatalf("got %+v, want durable %s, first %s", got, id, first)
	}
}

func TestEachChannelGoesOnWhereItStopped(t *testing.T) {
	x := NewIndex()
	var list List
	want := []string{}
	for i := range 3 * chunkSize {
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
