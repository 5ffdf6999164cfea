package fanout

import (
	"fmt"
	"testing"
)

func TestSince(t *testing.T) {
	redis := startRedis(t)
	c := testConfig(redis.url())
	c.Ring.Messages = 4
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	if got := b.Since("unknown", 0); got.Complete || got.Plain != (Position{}) {
		t.Errorf("of an unknown channel: %+v", got)
	}
	start := b.Since("c", 0)
	if !start.Complete || len(start.Messages) != 0 || start.Plain.Node != b.node {
		t.Errorf("of a quiet channel: %+v", start)
	}
	for i := range 6 {
		redis.publish("c", i)
	}
	last := redis.publishDurable("c", "6", 10)
	r.wait(t, "c", 8)
	for from, want := range map[uint32]struct {
		messages string
		complete bool
	}{
		7: {"[]", true},
		5: {"[5 6]", true},
		3: {"[3 4 5 6]", true},
		2: {"[3 4 5 6]", false},
		0: {"[3 4 5 6]", false},
	} {
		got := b.Since("c", from)
		data := []string{}
		for _, m := range got.Messages {
			data = append(data, string(m.Payload))
		}
		if fmt.Sprint(data) != want.messages || got.Complete != want.complete {
			t.Errorf("since %d: %v %v, want %+v", from, data, got.Complete, want)
		}
		if got.Durable.String() != last || got.Plain.Seq != 7 {
			t.Errorf("since %d: positions %v %v", from, got.Durable, got.Plain)
		}
	}
}
