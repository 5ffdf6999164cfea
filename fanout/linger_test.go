package fanout

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
)

func TestChannelsLinger(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Linger = 200 * time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "news", r)
	join(b, "kept", r)
	r.wait(t, "news", 1)
	r.wait(t, "kept", 1)
	b.Leave("news", r)
	if n := server.subscribers("push:news"); n != 1 {
		t.Fatalf("%d subscribers right after the last left, want 1", n)
	}
	eventually(t, "news is unsubscribed", func() bool { return server.subscribers("push:news") == 0 })
	if n := b.Stats().Channels; n != 1 {
		t.Errorf("%d channels, want 1", n)
	}
	if n := server.subscribers("push:kept"); n != 1 {
		t.Errorf("%d subscribers of the other channel, want 1", n)
	}
}

func TestAReturnEndsTheLinger(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Linger = 150 * time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "back", r)
	begin := r.wait(t, "back", 1)[0].joined.Position
	b.Leave("back", r)
	server.publish("back", "missed")
	eventually(t, "the message is received", func() bool { return b.Stats().Messages == 1 })
	join(b, "back", r)
	// Another channel's linger starts later, so its end is past the other's.
	join(b, "clock", r)
	b.Leave("clock", r)
	eventually(t, "the clock has run out", func() bool { return b.Stats().Channels == 1 })
	if n := server.subscribers("push:back"); n != 1 {
		t.Fatalf("%d subscribers, want 1", n)
	}
	if a := r.replay(t, b, "back", begin); a.Gap != nil || !slices.Equal(payloads(a.Messages), []string{"missed"}) {
		t.Fatalf("replay of what came during the linger: %+v", a)
	}
}

// A channel that is forgotten and joined again in the same moment must end up
// subscribed, and its old positions must not be taken for new ones.
func TestForgottenAndJoinedAgain(t *testing.T) {
	const rounds = 30
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Linger = 5 * time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	for i := range rounds {
		name := "churn" + strconv.Itoa(i%3)
		join(b, name, r)
		last := r.wait(t, name, i/3*2+1)
		if j := last[len(last)-1]; j.text != "joined" {
			t.Fatalf("round %d: %q", i, j.text)
		}
		server.publish(name, "x")
		r.wait(t, name, i/3*2+2)
		b.Leave(name, r)
	}
	eventually(t, "all are forgotten", func() bool { return b.Stats().Channels == 0 })
	join(b, "churn0", r)
	r.wait(t, "churn0", rounds/3*2+1)
	for range 3 {
		server.publish("churn0", "y")
	}
	r.wait(t, "churn0", rounds/3*2+4)
	a := r.replay(t, b, "churn0", r.of("churn0")[1].msg.ID)
	if a.Gap == nil || a.Gap.Reason != GapHistory || !slices.Equal(payloads(a.Messages), []string{"y", "y", "y"}) {
		t.Fatalf("replay of an earlier life's position: gap %v, got %v", a.Gap, payloads(a.Messages))
	}
}

// A topic in both queues must end up subscribed.
func TestUnsubscribesGoFirst(t *testing.T) {
	_, l := offline(t, DefaultConfig())
	l.open("back")
	for i := range 2*subscribeBatch - 1 {
		l.unwanted = append(l.unwanted, "push:"+strconv.Itoa(i))
	}
	l.unwanted = append(l.unwanted, "push:back")
	for range 2 {
		if names, subscribe := l.nextBatch(); subscribe || len(names) != subscribeBatch {
			t.Fatalf("%d names, subscribe %v", len(names), subscribe)
		}
	}
	if l.unwanted != nil {
		t.Error("the names are kept")
	}
	if names, subscribe := l.nextBatch(); !subscribe || !slices.Equal(names, []string{"push:back"}) {
		t.Fatalf("%v, subscribe %v", names, subscribe)
	}
}

// Confirmations of more than Redis keeps for a subscriber are never on their way.
func TestUnsubscribesHaveAWindow(t *testing.T) {
	_, l := offline(t, DefaultConfig())
	l.open("back")
	for i := range 2 * subscribeWindow {
		l.unwanted = append(l.unwanted, "push:"+strconv.Itoa(i))
	}
	sent := func() (n int) {
		for {
			names, subscribe := l.nextBatch()
			if n += len(names); len(names) == 0 || subscribe {
				return n
			}
		}
	}
	if n := sent(); n != subscribeWindow {
		t.Fatalf("%d are on their way, want %d", n, subscribeWindow)
	}
	<-l.wake
	for range subscribeBatch {
		if n := sent(); n > 0 {
			t.Fatalf("%d more are on their way", n)
		}
		l.unsubscribed()
	}
	select {
	case <-l.wake:
	default:
		t.Error("the writer sleeps")
	}
	if n := sent(); n != subscribeBatch {
		t.Errorf("%d more are on their way, want %d", n, subscribeBatch)
	}
	l.lost()
	if names, subscribe := l.nextBatch(); !subscribe || len(names) != 1 {
		t.Errorf("on a new connection: %v, subscribe %v", names, subscribe)
	}
}

// A replay keeps its channel for as long as Redis is away.
func TestReplayOutlivesTheLinger(t *testing.T) {
	server := newRedis(t)
	c := testConfig(server.URL())
	c.Linger = 20 * time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	done := make(chan Replay, 1)
	b.Replay("kept", message.Position{}, func(a Replay) { done <- a })
	for range 5 {
		join(b, "clock", r)
		b.Leave("clock", r)
		eventually(t, "the other channel is forgotten", func() bool { return b.Stats().Channels == 1 })
	}
	server.Start()
	select {
	case <-done:
	case <-time.After(testDeadline):
		t.Fatal("no answer")
	}
	eventually(t, "the channel is forgotten", func() bool { return b.Stats().Channels == 0 })
}

func TestUnsubscribeIsBatched(t *testing.T) {
	const channels = 2*subscribeWindow + 1000
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Connections, c.Linger = 1, 300*time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	for i := range channels {
		join(b, strconv.Itoa(i), r)
	}
	for i := range channels {
		b.Leave(strconv.Itoa(i), r)
	}
	eventually(t, "all are forgotten", func() bool { return b.Stats().Channels == 0 })
	eventually(t, "all are unsubscribed", func() bool { return server.subscribers("push:"+strconv.Itoa(channels-1)) == 0 })
	eventually(t, "it is confirmed", func() bool {
		l := b.links[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.leaving == 0 && len(l.unwanted) == 0
	})
	if n := server.Calls("unsubscribe"); n > 400 {
		t.Errorf("%d UNSUBSCRIBE commands for %d channels", n, channels)
	}
}
