package gateway_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/internal/redistest"
)

// until collects channel and data of the messages of a resumed stream, up to the one named, and
// fails at a gap. It returns the stream's last id.
func (s *stream) until(last string) (got []string, id string) {
	s.t.Helper()
	for !slices.Contains(got, last) {
		at, e := s.event()
		switch e.Type {
		case "gap":
			s.t.Fatalf("after %v: %+v", got, e)
		case "message":
			got = append(got, e.Channel+string(e.Data))
		}
		if at != "" {
			id = at
		}
	}
	return got, id
}

// An EventSource with several channels that reconnects to the same node gets its missed messages of
// each, without a gap.
func TestEventsOfSeveralChannelsComeBack(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	plain := func(channel string, n int) { in.redis.Publish(channel, n) }
	kept := func(channel string, n int) { durable(t, in.redis, channel, n, n+1) }
	for name, publish := range map[string]map[string]func(string, int){
		"plain":       {"pa": plain, "pb": plain},
		"durable":     {"da": kept, "db": kept},
		"both":        {"ma": plain, "mb": kept},
		"one is idle": {"ia": plain, "ib": kept, "never": nil},
	} {
		var channels []string
		for channel := range publish {
			channels = append(channels, channel)
		}
		path := "/v1/sse?channels=" + strings.Join(channels, ",")
		s := in.events(path, "")
		for range channels {
			s.expect("subscribed")
		}
		id := ""
		for n := range 4 {
			for _, channel := range channels {
				if publish[channel] != nil {
					publish[channel](channel, n)
				}
			}
			if n%2 == 0 {
				// The last message of each has to be seen before it is cut.
				var all []string
				for _, channel := range channels {
					if publish[channel] != nil {
						got, at := s.until(channel + fmt.Sprint(n))
						all, id = append(all, got...), at
						if slices.ContainsFunc(channels, func(c string) bool {
							return publish[c] != nil && !slices.Contains(all, c+fmt.Sprint(n))
						}) {
							continue
						}
						break
					}
				}
				s.resp.Body.Close()
				continue
			}
			s = in.events(path, id)
			missing := map[string]bool{}
			for _, channel := range channels {
				if publish[channel] != nil {
					missing[channel+fmt.Sprint(n)] = true
				}
			}
			for len(missing) > 0 {
				_, e := s.event()
				if e.Type == "gap" {
					t.Fatalf("%s: came back with %s, still missing %v: %+v", name, id, missing, e)
				}
				delete(missing, e.Channel+string(e.Data))
			}
		}
		// The same position serves a WebSocket.
		c := in.dial("/v1/ws?channels=" + strings.Join(channels, ",") + "&cursor=" + url.QueryEscape(id))
		for subscribed := 0; subscribed < len(channels); {
			switch e := c.next(); e.Type {
			case "gap":
				t.Fatalf("%s: %+v", name, e)
			case "subscribed":
				subscribed++
			}
		}
	}
}

// If a ring no longer reaches back there is a gap, and it names the client's position.
func TestGapNamesWhatWasAsked(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	s := in.events("/v1/sse?channels=busy,idle", "")
	s.expect("subscribed")
	s.expect("subscribed")
	in.redis.Publish("idle", 0)
	_, id := s.until("idle0")
	s.resp.Body.Close()
	received := in.metric("gateway_broker_messages_total")
	for n := range 200 {
		in.redis.Publish("busy", n)
	}
	eventually(t, "the ring is overrun", func() bool { return in.metric("gateway_broker_messages_total") == received+200 })
	s = in.events("/v1/sse?channels=busy,idle", id)
	for {
		_, e := s.event()
		if e.Type == "gap" {
			if e.Channel != "busy" || e.Since != id {
				t.Errorf("got %+v, came back with %s", e, id)
			}
			break
		}
	}
}

// A stream that begins while the client is disconnected is complete, and so is one new to this
// node.
func TestStreamThatBeginsWhileTheClientIsAway(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	other := startOn(t, in.redis, nil).ready()
	last := durable(t, in.redis, "a", 0, 1)[0]
	durable(t, in.redis, "user", 1, 2)
	for name, node := range map[string]*instance{"one": in, "other": other} {
		s := node.events("/v1/sse?channels=a,user", last)
		if got, _ := s.until("user1"); len(got) > 2 {
			t.Errorf("%s: got %v", name, got)
		}
		s.resp.Body.Close()
	}
	// A trimmed stream can't prove completeness.
	in.redis.Client.XTrimMaxLen(context.Background(), "{push:user}:log", 0)
	durable(t, in.redis, "user", 2, 3)
	third := startOn(t, in.redis, nil).ready()
	s := third.events("/v1/sse?channels=a,user", last)
	for {
		_, e := s.event()
		if e.Type == "gap" {
			break
		}
		if e.Type == "message" && e.Channel == "user" {
			t.Fatalf("no gap before %+v", e)
		}
	}
}

// The plain part of a cursor is meaningless on another node: it may have missed messages, which is
// a gap, but only if there were plain messages.
func TestCursorOnAnotherNode(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	other := startOn(t, in.redis, nil).ready()
	cursor := in.poll(nil, "channels=mixed,kept,plain&wait=0").Cursor
	durable(t, in.redis, "mixed", 0, 1)
	durable(t, in.redis, "kept", 0, 1)
	in.redis.Publish("mixed", 1)
	in.redis.Publish("plain", 1)
	for n := 0; n < 4; {
		p := in.poll(nil, "channels=mixed,kept,plain&wait=10&cursor="+cursor)
		if len(p.Gaps) > 0 {
			t.Fatalf("got %+v", p)
		}
		n += len(p.Messages)
		cursor = p.Cursor
	}
	in.redis.Publish("mixed", 2)
	durable(t, in.redis, "mixed", 3, 4)
	durable(t, in.redis, "kept", 3, 4)
	p := other.poll(nil, "channels=mixed,kept,plain&wait=0&cursor="+cursor)
	slices.Sort(p.Gaps)
	if fmt.Sprint(p.Gaps, p.data(t)) != "[mixed plain] [3 3]" {
		t.Errorf("on another node: gaps %v, %v", p.Gaps, p.data(t))
	}
	// On its own node, the same cursor is exact.
	for own, got := cursor, []string(nil); len(got) < 2; own = p.Cursor {
		p = in.poll(nil, "channels=mixed&wait=10&cursor="+own)
		got = append(got, p.data(t)...)
		if len(p.Gaps) > 0 || len(p.Messages) == 0 || fmt.Sprint(got) != fmt.Sprint([]string{"2", "3"}[:len(got)]) {
			t.Fatalf("on its own node: gaps %v, %v", p.Gaps, got)
		}
	}
	// The new one has no further gap.
	c := other.poll(nil, "channels=mixed,kept,plain&wait=0&cursor="+cursor).Cursor
	if p := other.poll(nil, "channels=mixed,kept,plain&wait=0&cursor="+c); len(p.Gaps) > 0 || len(p.Messages) > 0 {
		t.Errorf("with the next cursor: %+v", p)
	}
}

// A position in an unused channel is the start of its stream, on every node and however many
// messages follow.
func TestPositionsOfAnUnusedChannel(t *testing.T) {
	t.Parallel()
	const messages = 200
	in := start(t, nil).ready()
	other := startOn(t, in.redis, nil).ready()
	begin := in.poll(nil, "channels=c&wait=0").Cursor
	w := in.dial("/v1/ws?channels=c")
	w.expect("welcome")
	since := w.expect("subscribed").ID
	w.Close()
	durable(t, in.redis, "c", 0, messages)
	for name, node := range map[string]*instance{"its own": in, "another": other, "a new one": startOn(t, in.redis, nil).ready()} {
		checkAll(t, name, node, begin, messages)
		c := node.dial("/v1/ws?channels=c&cursor=" + since)
		c.expect("welcome")
		c.expect("subscribed")
		for n := range messages {
			if e := c.expect("message"); string(e.Data) != fmt.Sprint(n) {
				t.Fatalf("%s: got %+v, want %d", name, e, n)
			}
		}
	}
	// Of a plain one, another node may have missed something.
	begin = in.poll(nil, "channels=p&wait=0").Cursor
	in.redis.Publish("p", 0)
	for name, tc := range map[string]struct {
		node *instance
		want string
	}{"its own": {in, "[] [0]"}, "another": {other, "[p] []"}} {
		if p := tc.node.poll(nil, "channels=p&wait=10&cursor="+begin); fmt.Sprint(p.Gaps, p.data(t)) != tc.want {
			t.Errorf("%s: %v %v, want %s", name, p.Gaps, p.data(t), tc.want)
		}
	}
}

// checkAll polls for all messages of the channel c from a cursor.
func checkAll(t *testing.T, name string, in *instance, cursor string, messages int) {
	t.Helper()
	for n := 0; n < messages; {
		p := in.poll(nil, "channels=c&wait=10&max=50&cursor="+cursor)
		if len(p.Gaps) > 0 {
			t.Fatalf("%s: gaps %v at %d", name, p.Gaps, n)
		}
		for _, data := range p.data(t) {
			if data != fmt.Sprint(n) {
				t.Fatalf("%s: got %s, want %d", name, data, n)
			}
			n++
		}
		cursor = p.Cursor
	}
}

// The embedded server doesn't count the entries ever added to a stream.
func TestUnusedChannelOfAnEmbeddedServer(t *testing.T) {
	t.Parallel()
	in := startWith(t, &redistest.Server{}, nil, func(c *fanout.Config) { c.URL, c.Embedded = "", "127.0.0.1:0" }).ready()
	cursor := in.poll(nil, "channels=c&wait=0").Cursor
	const messages = 200
	for n := range messages {
		if status := in.call("POST", "/v1/publish", fmt.Sprintf(`{"channel":"c","data":%d,"durable":true}`, n), nil); status != 200 {
			t.Fatal(status)
		}
	}
	checkAll(t, "embedded", in, cursor, messages)
}

// On its own node, a plain position older than the ring is no gap if all messages since are in the
// stream.
func TestMixedChannelOutrunsItsRing(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	in.poll(nil, "channels=c&wait=0")
	// The node knows only to a twentieth of a second since when it follows a
	// channel, so the position has to be younger than that.
	joined := time.Now()
	eventually(t, "the clock moves on", func() bool { return time.Since(joined) > 100*time.Millisecond })
	in.redis.Publish("c", `"plain"`)
	durable(t, in.redis, "c", -1, 0)
	var cursor string
	eventually(t, "both are there", func() bool {
		p := in.poll(nil, "channels=c&wait=0&cursor=0-0")
		cursor = p.Cursor
		return len(p.Messages) > 0 && p.data(t)[len(p.Messages)-1] == "-1"
	})
	durable(t, in.redis, "c", 0, 200)
	checkAll(t, "mixed", in, cursor, 200)
}

// No id of a stream of several channels may be one channel's position alone, or a client that
// resumes from it misses messages of the others.
func TestNoIdHidesTheOtherChannels(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	cursor := in.poll(nil, "channels=a&wait=0").Cursor
	in.poll(nil, "channels=a,b&wait=0") // both are live and linger
	for name, path := range map[string]string{
		"no position":                "/v1/sse?channels=a,b",
		"a poll's of one of the two": "/v1/sse?channels=a,b&cursor=" + cursor,
	} {
		publish := func(n int) {
			received := in.broker.Stats().Messages
			in.redis.Publish("b", n)
			eventually(t, "it is here", func() bool { return in.broker.Stats().Messages == received+1 })
		}
		s, id := in.events(path, ""), ""
		for subscribed := 0; subscribed < 2 || id == ""; {
			at, e := s.event()
			if e.Type == "subscribed" {
				subscribed++
			}
			if at != "" {
				id = at
			}
		}
		s.resp.Body.Close()
		publish(1)
		s = in.events(path, id)
		for {
			_, e := s.event()
			if e.Type == "gap" {
				t.Errorf("%s: came back with %s: %+v", name, id, e)
			}
			if e.Type == "message" && string(e.Data) == "1" {
				break
			}
		}
		for at := ""; at == ""; {
			at, _ = s.event() // once all channels are caught up
		}
		s.resp.Body.Close()
	}
}

// A page of a channel's history says to other nodes that there were plain
// messages behind it.
func TestPageOfAMixedChannelElsewhere(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	other := startOn(t, in.redis, nil).ready()
	durable(t, in.redis, "m", 0, 20) // before any node follows it
	in.poll(nil, "channels=m&wait=0")
	in.redis.Publish("m", `"plain"`)
	eventually(t, "it is here", func() bool { return in.broker.Stats().Messages == 1 })
	cursor := in.poll(nil, "channels=m&wait=0&max=10&cursor=0-0").Cursor
	if p := in.poll(nil, "channels=m&wait=0&cursor="+cursor); len(p.Gaps) > 0 || len(p.Messages) != 11 {
		t.Errorf("here: gaps %v, %v", p.Gaps, p.data(t))
	}
	if p := other.poll(nil, "channels=m&wait=0&cursor="+cursor); fmt.Sprint(p.Gaps) != "[m]" || len(p.Messages) != 10 {
		t.Errorf("elsewhere: gaps %v, %v", p.Gaps, p.data(t))
	}
}

// A poll resuming from a time keeps it if Redis doesn't respond.
func TestTimeOutlastsASlowRedis(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	entry(t, in.redis, "b", ago(time.Hour), 0)
	entry(t, in.redis, "b", ago(30*time.Minute), 1)
	last := durable(t, in.redis, "a", 0, 1)[0]
	in.redis.Signal(syscall.SIGSTOP)
	p := in.poll(nil, "channels=a,b&wait=0&cursor="+last)
	in.redis.Signal(syscall.SIGCONT)
	if p.status != 204 || p.Cursor != last {
		t.Errorf("got %+v", p)
	}
	in.ready()
	if p := in.poll(nil, "channels=a,b&wait=0&cursor="+p.Cursor); len(p.Gaps) > 0 {
		t.Errorf("nothing was lost: gaps %v, %v", p.Gaps, p.data(t))
	}
}
