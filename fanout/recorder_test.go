package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
)

// recorder is a sink that records the events of each channel, in order: "joined", the payload
// of a message, "gap:reason".
type recorder struct {
	mu     sync.Mutex
	events map[string][]event
}

type event struct {
	text   string
	joined Joined
	msg    *message.Message
	gap    Gap
	replay Replay
}

// seq is where a message or a gap stands in its channel.
func (e event) seq() uint32 {
	if e.msg != nil {
		return e.msg.Seq
	}
	return e.gap.Seq
}

func newRecorder() *recorder { return &recorder{events: make(map[string][]event)} }

func (r *recorder) add(channel string, e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[channel] = append(r.events[channel], e)
}

// join joins a channel and records where it stands in any case.
func join(b *Broker, channel string, m Sink) {
	r, _ := m.(*recorder)
	came := 0
	if r != nil {
		came = len(r.of(channel))
	}
	at, live := b.Join(channel, m)
	switch {
	case !live:
	case r != nil:
		r.joinedAt(channel, at, came)
	default:
		m.Joined(channel, at)
	}
}

// joinedAt inserts the join before the events that have followed it by now. came events
// preceded the call of Join.
func (r *recorder) joinedAt(channel string, at Joined, came int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.events[channel]
	for came < len(list) && list[came].seq() <= at.Seq {
		came++
	}
	// In a copy: others read the old one.
	r.events[channel] = slices.Insert(slices.Clone(list), came, event{text: "joined", joined: at})
}

func (r *recorder) Joined(channel string, j Joined) {
	r.add(channel, event{text: "joined", joined: j})
}

func (r *recorder) Deliver(m *message.Message) {
	r.add(m.Channel, event{text: string(m.Payload), msg: m})
}

func (r *recorder) Gap(channel string, g Gap) {
	r.add(channel, event{text: "gap:" + g.Reason, gap: g})
}

// of returns a channel's events so far.
func (r *recorder) of(channel string) []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[channel][:len(r.events[channel]):len(r.events[channel])]
}

// texts is of in short.
func (r *recorder) texts(channel string) []string {
	texts := []string{}
	for _, e := range r.of(channel) {
		texts = append(texts, e.text)
	}
	return texts
}

// wait waits for the n-th event of a channel and returns all of them.
func (r *recorder) wait(t testing.TB, channel string, n int) []event {
	t.Helper()
	eventually(t, fmt.Sprintf("%d events of %s", n, channel), func() bool { return len(r.of(channel)) >= n })
	return r.of(channel)
}

// replay asks for a replay and waits for it.
func (r *recorder) replay(t testing.TB, b *Broker, channel string, since message.Position) Replay {
	t.Helper()
	return r.answer(t, channel, fmt.Sprint("since ", since), func(done func(Replay)) { b.Replay(channel, since, done) })
}

// pages asks for a replay and all that goes on with it, which it returns as one.
func (r *recorder) pages(t testing.TB, b *Broker, channel string, since message.Position) Replay {
	t.Helper()
	all := r.replay(t, b, channel, since)
	for page := all; page.More; {
		next := r.answer(t, channel, fmt.Sprint("behind ", page.Position), func(done func(Replay)) { b.ReplayMore(channel, &page, done) })
		gap := all.Gap
		if gap == nil {
			gap = next.Gap
		}
		page = next
		next.Messages, next.Gap, next.Before = append(all.Messages[:len(all.Messages):len(all.Messages)], next.Messages...), gap, all.Before
		all = next
	}
	return all
}

// newest asks for a channel's newest messages and waits for them.
func (r *recorder) newest(t testing.TB, b *Broker, channel string, n int) Replay {
	t.Helper()
	return r.answer(t, channel, fmt.Sprint("newest ", n), func(done func(Replay)) { b.ReplayNewest(channel, n, done) })
}

// answer waits for the replay that ask begins, which is recorded among the events.
func (r *recorder) answer(t testing.TB, channel, what string, ask func(done func(Replay))) Replay {
	t.Helper()
	done := make(chan Replay, 1)
	ask(func(a Replay) {
		r.add(channel, event{text: "replay", replay: a})
		done <- a
	})
	select {
	case a := <-done:
		a.Done()
		return a
	case <-time.After(testDeadline):
		t.Fatalf("no replay of %s, %s, after %v", channel, what, testDeadline)
		return Replay{}
	}
}

func payloads(messages []*message.Message) []string {
	texts := []string{}
	for _, m := range messages {
		texts = append(texts, string(m.Payload))
	}
	return texts
}

// testConfig is quick to notice things.
func testConfig(url string) Config {
	c := DefaultConfig()
	c.URL = url
	c.ProbeInterval = 300 * time.Millisecond
	return c
}

// runBroker runs a broker until the test ends.
func runBroker(t testing.TB, c Config) *Broker {
	t.Helper()
	b, stop := startBroker(t, c, "node1")
	t.Cleanup(stop)
	return b
}

// startBroker runs a broker until stop is called.
func startBroker(t testing.TB, c Config, node string) (b *Broker, stop func()) {
	t.Helper()
	return startBrokerLogging(t, c, node, testLog())
}

func startBrokerLogging(t testing.TB, c Config, node string, log *slog.Logger) (b *Broker, stop func()) {
	t.Helper()
	b, err := NewBroker(c, log, node)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return b, sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(testDeadline):
			t.Errorf("Run did not return")
		}
	})
}

func waitReady(t testing.TB, b *Broker) {
	t.Helper()
	eventually(t, "the broker is ready", func() bool { return b.Ready() == nil })
}

// waitNotReady waits until every connection has noticed: another one may do so before the one
// of the channel under test.
func waitNotReady(t testing.TB, b *Broker) {
	t.Helper()
	eventually(t, "no connection to Redis delivers", func() bool {
		return !slices.ContainsFunc(b.links, func(l *link) bool { return l.ready() == nil })
	})
}
