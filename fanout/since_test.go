package fanout

import (
	"fmt"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
)

func TestSince(t *testing.T) {
	redis := startRedis(t)
	c := testConfig(redis.URL())
	c.Ring.Messages = 4
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	if got := b.Since("unknown", 0); got.Complete || got.Plain != (message.Position{}) {
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
		if got.Durable.String() != last || got.Plain != b.Since("c", 0).Plain {
			t.Errorf("since %d: positions %v %v", from, got.Durable, got.Plain)
		}
	}
}

// Messages read from the stream stand in front of the ring, but precede the count: no sink has
// missed them.
func TestSinceBeforeTheRingIsNotHistory(t *testing.T) {
	r := &ring{base: message.StreamID{Ms: 9}}
	r.push(message.New("c", message.Position{Ms: 10}, 21, nil))
	r.pushFront([]*message.Message{message.New("c", message.Position{Ms: 8}, 20, nil), message.New("c", message.Position{Ms: 9}, 20, nil)}, message.StreamID{Ms: 7})
	for n, want := range map[uint32]int{2: 2, 1: 2, 0: 3} {
		if i, complete := r.last(n); i != want || complete != (n < 2) {
			t.Errorf("the last %d: from %d, complete %v", n, i, complete)
		}
	}
}

func TestMessageBefore(t *testing.T) {
	redis := startRedis(t)
	b := runBroker(t, testConfig(redis.URL()))
	r := newRecorder()
	b.Join("c", r)
	r.wait(t, "c", 1)
	var want []string
	last := "0-0"
	for i := range 6 {
		want = append(want, last)
		if i%3 == 1 {
			redis.publish("c", i)
		} else {
			last = redis.publishDurable("c", i, 10)
		}
	}
	for i, e := range r.wait(t, "c", 7)[1:] {
		if got := e.msg.Before().String(); got != want[i] {
			t.Errorf("before %d: %s, want %s", i, got, want[i])
		}
	}
	if got := message.New("c", mustPosition(t, "5-0"), 1, nil).Before().String(); got != "4-18446744073709551615" {
		t.Errorf("before an entry of the stream: %s", got)
	}
}
