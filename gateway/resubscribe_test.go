package gateway_test

import (
	"fmt"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// A client subscribed by its URL that sends its position later gets its missed messages, not
// silence.
func TestSubscribeAgainSince(t *testing.T) {
	in := start(t, nil).ready()
	before := in.subscribed("plain", "kept")
	ids := map[string]string{"kept": durable(t, in.redis, "kept", 0, 1)[0]}
	before.expect("message")
	for channel, publish := range map[string]func(n int){
		"plain": func(n int) { in.redis.Publish("plain", fmt.Sprint(n)) },
		"kept":  func(n int) { durable(t, in.redis, "kept", n, n+1) },
	} {
		if ids[channel] == "" {
			publish(0)
			ids[channel] = before.expect("message").ID
		}
		publish(1)
		publish(2)
		before.expect("message")
		before.expect("message")
		c := in.subscribed(channel)
		publish(3)
		c.expect("message")
		before.expect("message")
		c.write(fmt.Sprintf(`{"type":"subscribe","channel":%q,"since":%q,"ref":1}`, channel, ids[channel]))
		if e := c.expect("subscribed"); e.ID != ids[channel] || string(e.Ref) != "1" {
			t.Errorf("%s: got %+v", channel, e)
		}
		for n := 1; n <= 3; n++ {
			if e := c.expect("message"); string(e.Data) != fmt.Sprint(n) {
				t.Fatalf("%s: got %+v in place of %d", channel, e, n)
			}
		}
		publish(4)
		if e := c.expect("message"); string(e.Data) != "4" {
			t.Errorf("%s: got %+v after it caught up", channel, e)
		}
		before.expect("message")
		c.write(fmt.Sprintf(`{"type":"subscribe","channel":%q,"since":"~elsewhere-3"}`, channel))
		c.expect("subscribed")
		if e := c.expect("gap"); e.Reason != "history" {
			t.Errorf("%s: got %+v for a position of nowhere", channel, e)
		}
	}
}

// The position is honoured too where the channel itself is still being set up.
func TestSubscribeSinceBeforeTheFirstAnswer(t *testing.T) {
	redis := redistest.New(t)
	in := startOn(t, redis, nil)
	c := in.dial("/v1/ws?channels=c")
	c.expect("welcome")
	for ref := range 3 {
		c.write(fmt.Sprintf(`{"type":"subscribe","channel":"c","since":"1-0","ref":%d}`, ref))
	}
	for range 2 { // one is enough
		if e := c.expect("error"); e.Code != "pending" {
			t.Errorf("got %+v", e)
		}
	}
	redis.Start()
	if e := c.expect("subscribed"); e.Ref != nil {
		t.Errorf("got %+v", e)
	}
	if e := c.expect("subscribed"); e.ID != "1-0" || string(e.Ref) != "0" {
		t.Errorf("got %+v", e)
	}
	for e := c.next(); string(e.Data) != `"live"`; e = c.next() {
		if e.Type != "gap" {
			t.Errorf("got %+v", e)
		}
		redis.Publish("c", "live")
	}
}

// A client that subscribes to one channel with a cursor of many gets its position in that one, and
// resumes there: the rest of the cursor isn't kept while the request waits for Redis.
func TestSubscribeKeepsThePositionOfItsChannel(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	at, err := message.ParsePosition(durable(t, in.redis, "c", 0, 3)[0])
	if err != nil {
		t.Fatal(err)
	}
	var all message.Cursor
	for i := range 1000 {
		all.Set(fmt.Sprintf("other.%d", i), message.Position{Ms: 1, Seq: uint64(i)})
	}
	all.Set("c", at)
	only := all.Only("c")
	c := in.dial("/v1/ws")
	c.expect("welcome")
	c.write(fmt.Sprintf(`{"type":"subscribe","channel":"c","since":%q}`, all.String()))
	if e := c.expect("subscribed"); e.ID != only.String() {
		t.Errorf("it has the channel from %q, want %q", e.ID, only.String())
	}
	for n := 1; n < 3; n++ {
		if e := c.expect("message"); string(e.Data) != fmt.Sprint(n) {
			t.Errorf("message %s in place of %d", e.Data, n)
		}
	}
}
