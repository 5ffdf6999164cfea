package fanout

import (
	"context"
	"testing"
)

func TestInspect(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
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
