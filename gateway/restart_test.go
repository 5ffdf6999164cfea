package gateway_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// unready waits until the gateway says that Redis doesn't deliver.
func (in *instance) unready() {
	in.t.Helper()
	eventually(in.t, "no connection to Redis delivers", func() bool {
		err := in.Ready()
		return err != nil && strings.Count(err.Error(), "redis connection ") == 2
	})
	for _, base := range []string{in.Addr(), in.AdminAddr()} {
		if status, body := in.get("http://" + base + "/readyz"); status != 503 || !strings.Contains(body, "redis connection ") {
			in.t.Errorf("readyz on %s: %d %q", base, status, body)
		}
	}
}

// gapThenMessages reads the gap that follows an outage and the messages that
// are published after it.
func (in *instance) gapThenMessages(channel string, clients ...*client) {
	in.t.Helper()
	for _, c := range clients {
		if e := c.expect("gap"); e.Channel != channel || e.Reason != "broker" || !strings.HasPrefix(e.Since, "~") {
			in.t.Errorf("got %+v", e)
		}
	}
	for i := range 3 {
		in.redis.Publish(channel, i)
		for _, c := range clients {
			if e := c.expect("message"); string(e.Data) != fmt.Sprint(i) {
				in.t.Errorf("got %+v, want %d", e, i)
			}
		}
	}
}

func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	// More clients than shards, and a channel on either connection to Redis.
	channels := []string{"a", "b", "c", "d", "e", "f"}
	listeners := make(map[string][]*client)
	for _, channel := range channels {
		for range 2 {
			listeners[channel] = append(listeners[channel], in.subscribed(channel))
		}
	}
	in.redis.Publish("a", "before")
	for _, c := range listeners["a"] {
		c.expect("message")
	}
	for range 2 {
		in.redis.Kill()
		in.unready()
		// No client is closed, and new ones are admitted meanwhile: enough to have some on every
		// shard, besides those that must get the gap.
		var late []*client
		for range 8 {
			c := in.dial("/v1/ws?channels=a")
			c.expect("welcome")
			late = append(late, c)
		}
		for _, all := range listeners {
			for _, c := range all {
				c.write(`{"type":"ping"}`)
				c.expect("pong")
			}
		}
		in.redis.Start()
		in.ready()
		if status, body := in.get("http://" + in.Addr() + "/readyz"); status != 200 {
			t.Errorf("readyz: %d %q", status, body)
		}
		for _, c := range late {
			c.expect("subscribed")
		}
		for _, channel := range channels {
			in.gapThenMessages(channel, listeners[channel]...)
		}
		for _, c := range late {
			// They subscribed after the gap.
			if e := c.expect("message"); string(e.Data) != "0" {
				t.Errorf("got %+v", e)
			}
			c.Close()
		}
	}
	if n := in.metric(`gateway_broker_gaps_total{reason="broker"}`); n != float64(2*len(channels)) {
		t.Errorf("%v gaps counted, want one for each channel and outage", n)
	}
}

// A Redis that accepts and never responds looks alive to TCP for hours: only the probes detect it.
func TestRedisStalls(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	c := in.subscribed("news")
	in.redis.Signal(syscall.SIGSTOP)
	in.unready()
	if up := in.metric(`gateway_broker_up{connection="0"}`) + in.metric(`gateway_broker_up{connection="1"}`); up != 0 {
		t.Errorf("%v connections are said to be up", up)
	}
	c.write(`{"type":"ping"}`)
	c.expect("pong")
	in.redis.Signal(syscall.SIGCONT)
	in.ready()
	in.gapThenMessages("news", c)
}
