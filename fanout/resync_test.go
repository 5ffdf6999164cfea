package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
)

// confirmNext subscribes to the topic that is wanted, as the server confirms it.
func (l *link) confirmNext() []unsynced {
	names, _ := l.nextBatch()
	for _, name := range names {
		l.subscribed(name)
	}
	return l.takeConfirmed()
}

// followed returns the link of a broker without a server, and a sink of a channel there that
// has had one message.
func followed(t *testing.T, message string) (*link, *recorder) {
	b, l := offline(t, DefaultConfig())
	r := newRecorder()
	join(b, "news", r)
	l.resyncAll(l.confirmNext(), []page{{complete: true}})
	l.message("push:news", message)
	return l, r
}

// A plain message that was held when the connection was lost may have been the
// first of its channel.
func TestHeldPlainMessageIsLost(t *testing.T) {
	l, r := followed(t, "\x1e1-1\x1eone")
	l.lost()
	l.confirmNext()
	l.message("push:news", "held")
	l.lost()
	l.resyncAll(l.confirmNext(), []page{{tail: message.StreamID{Ms: 1, Seq: 1}, complete: true}})
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "one", "gap:broker"}) {
		t.Errorf("got %v", got)
	}
}

// A server that lost its data may begin the streams anew by a clock that is behind: a message
// with a lower id than before is no duplicate.
func TestStreamBeginsAnewWithLowerIDs(t *testing.T) {
	l, r := followed(t, "\x1e9-1\x1eold")
	l.lost()
	l.resyncAll(l.confirmNext(), []page{{}})
	for _, m := range []string{"plain", "\x1e5-1\x1enew", "\x1e5-1\x1eagain", "\x1e6-1\x1enewer"} {
		l.message("push:news", m)
	}
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "old", "gap:history", "plain", "new", "newer"}) {
		t.Errorf("got %v", got)
	}
	_, news := l.topics.find("news")
	if a, ok := l.ask(news, message.Position{Ms: 5, Seq: 1}); !ok || a.Gap == nil || !slices.Equal(payloads(a.Messages), []string{"newer"}) {
		t.Errorf("from an id that may be of either stream: %+v", a)
	}
	if a, ok := l.ask(news, message.Position{Ms: 9, Seq: 1}); ok {
		t.Errorf("from an id of the stream before: %+v", a)
	}
}

// Messages for a channel that isn't live yet are held within a bound. Beyond it the durable
// ones are read from the stream, and the plain ones are a gap.
func TestHeldMessagesAreBounded(t *testing.T) {
	l, r := followed(t, "\x1e1-1\x1eone")
	l.lost()
	u := l.confirmNext()
	l.message("push:news", "\x1e1-2\x1etwo")
	for range maxHeldBytes>>20 + 3 {
		l.message("push:news", strings.Repeat("x", 1<<20))
		if n := l.b.held.Load(); n > maxHeldBytes {
			t.Fatalf("%d bytes are held", n)
		}
	}
	if h := l.held[u[0].topic]; h.list != nil || l.b.held.Load() != heldTopicBytes {
		t.Errorf("%d messages are held, %d bytes counted, where there was no room", len(h.list), l.b.held.Load())
	}
	l.resyncAll(u, []page{{tail: message.StreamID{Ms: 1, Seq: 1}, complete: true}}) // was read before all messages arrived
	if n := l.b.Stats().Links[0].Pending; n != 1 {
		t.Fatalf("%d channels are pending", n)
	}
	l.message("push:news", "last")
	l.resyncAll(l.takeConfirmed(), []page{{
		entries: []entry{{id: message.StreamID{Ms: 1, Seq: 2}, payload: "two"}}, tail: message.StreamID{Ms: 1, Seq: 2}, complete: true,
	}})
	got := slices.Compact(r.texts("news"))
	if !slices.Equal(got, []string{"joined", "one", "gap:broker", "two", "last"}) || l.b.held.Load() != 0 {
		t.Errorf("got %v, %d bytes are held", got, l.b.held.Load())
	}
}

// slowBroker runs a broker on a slow way to a server: a reply after 0.4 s is too late there.
func slowBroker(t *testing.T) (*redisServer, *proxy, *Broker) {
	server := startRedis(t)
	p := startSlowProxy(t, server.Addr, 4<<20)
	c := testConfig(p.url() + "?read_timeout=300ms")
	c.Connections, c.ProbeInterval = 1, time.Second
	b := runBroker(t, c)
	waitReady(t, b)
	return server, p, b
}

// Channels that have more to catch up with together than arrives in time.
func TestCatchUpOverASlowWay(t *testing.T) {
	const channels = 30
	server, p, b := slowBroker(t)
	r := newRecorder()
	name := func(i int) string { return fmt.Sprint("c", i) }
	for i := range channels {
		join(b, name(i), r)
		r.wait(t, name(i), 1)
		server.publishDurable(name(i), "first", 100)
		r.wait(t, name(i), 2)
	}
	p.part()
	waitNotReady(t, b)
	for i := range channels {
		for range firstPageEntries {
			server.publishDurable(name(i), strings.Repeat("x", 4<<10), 100)
		}
	}
	p.join()
	waitReady(t, b)
	for i := range channels {
		r.wait(t, name(i), 2+firstPageEntries)
	}
}
