package fanout

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// A client that goes through channel after channel leaves as many behind as are to
// linger at most, in Redis too, and takes no more memory the longer it goes on.
func TestLingeringIsBounded(t *testing.T) {
	const most, batch = 5000, 1000
	names := 300_000
	if testing.Short() {
		names = 50_000
	}
	server := startRedis(t)
	c := testConfig(server.URL())
	c.MaxLingering = most
	b := runBroker(t, c)
	waitReady(t, b)
	m := &counter{}
	cycle := func(from, to int) {
		for i := from; i < to; i += batch {
			for n := i; n < i+batch; n++ {
				join(b, fmt.Sprint("c", n), m)
			}
			eventually(t, "all are joined", func() bool { return m.joined.Load() == int64(i+batch) })
			for n := i; n < i+batch; n++ {
				b.Leave(fmt.Sprint("c", n), m)
			}
			if n := b.Stats().Lingering; n > most {
				t.Fatalf("%d channels linger after %d, want at most %d", n, i+batch, most)
			}
		}
	}
	subscribed := func() (clients, channels int) {
		list := server.Client.ClientList(context.Background()).Val()
		for field := range strings.FieldsSeq(list) {
			if n, ok := strings.CutPrefix(field, "sub="); ok {
				n, _ := strconv.Atoi(n)
				clients += n
			}
		}
		return clients, len(server.Client.PubSubChannels(context.Background(), "push:c*").Val())
	}
	settled := func() {
		t.Helper()
		eventually(t, "as many are subscribed as linger", func() bool {
			clients, channels := subscribed()
			return clients == most+len(b.links) && channels == most
		})
	}
	cycle(0, names/5)
	settled()
	before := gatewaytest.HeapInUse()
	cycle(names/5, names)
	settled()
	if more := gatewaytest.HeapInUse() - before; more > 1<<20 {
		t.Errorf("%d bytes more after %d channels", more, names)
	}
	if s := b.Stats(); s.Channels != most || s.Lingering != most {
		t.Errorf("%d channels, %d of them linger, want %d", s.Channels, s.Lingering, most)
	}
	// A new connection has the lingering channels only, too.
	if n := b.Stats().Unsubscribes; n < uint64(names/subscribeBatch/2) {
		t.Errorf("%d times names were unsubscribed from", n)
	}
	// The channels left last are there, and they alone.
	if n := server.subscribers(fmt.Sprint("push:c", names-1)); n != 1 {
		t.Errorf("%d subscribers of the channel that was left last", n)
	}
	if n := server.subscribers(fmt.Sprint("push:c", names-2*most)); n != 0 {
		t.Errorf("%d subscribers of one that was left long ago", n)
	}
}

func TestNoneLingers(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.MaxLingering = 0
	b := runBroker(t, c)
	r := newRecorder()
	for i := range 100 {
		name := fmt.Sprint("c", i)
		join(b, name, r)
		if i%2 == 0 {
			r.wait(t, name, 1) // the others are left while they are subscribed to
		}
		b.Leave(name, r)
	}
	b.Replay("read", message.Position{}, func(Replay) {}) // no sink joins it
	eventually(t, "all are forgotten", func() bool { return b.Stats().Channels == 0 })
	eventually(t, "all are unsubscribed", func() bool {
		return len(server.Client.PubSubChannels(context.Background(), "push:[cr]*").Val()) == 0
	})
}

// While Redis is away, names that are joined and left leave nothing.
func TestNamesComeAndGoDuringAnOutage(t *testing.T) {
	c := DefaultConfig()
	c.MaxLingering = 100
	_, l := offline(t, c)
	for i := range 50_000 {
		name := strconv.Itoa(i)
		l.join(name, 1)
		l.leave(name, 1)
	}
	if n := l.topics.chunks.Last(); n > 200 {
		t.Errorf("%d places for topics, want about 100", n)
	}
	if n := cap(l.wanted); n > 4*subscribeBatch {
		t.Errorf("%d places in the queue of the writer", n)
	}
	names, _ := l.nextBatch()
	if len(names) != 100 {
		t.Errorf("%d channels are to be subscribed to, want 100", len(names))
	}
}

// The queue of the writer is made anew without losing anybody.
func TestWantedKeepsThoseWhoAreThere(t *testing.T) {
	c := DefaultConfig()
	c.MaxLingering = 1
	_, l := offline(t, c)
	l.join("first", 1)
	for i := range 5000 {
		name := strconv.Itoa(i)
		l.join(name, 1)
		if i != 4000 {
			l.leave(name, 1)
		}
	}
	names, _ := l.nextBatch()
	for _, name := range []string{"push:first", "push:4000", "push:4999"} {
		found := 0
		for _, n := range names {
			if n == name {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s is subscribed to %d times", name, found)
		}
	}
	if len(names) != 3 {
		t.Errorf("%d are subscribed to, want 3", len(names))
	}
}

// Topics that can't go yet don't keep sweep busy, nor stay for ever.
func TestLingeringTopicsUnderWay(t *testing.T) {
	c := DefaultConfig()
	c.MaxLingering = 0
	_, l := offline(t, c)
	const n = 10_000
	for i := range n {
		l.join(strconv.Itoa(i), 1)
	}
	l.topics.each(func(_ uint32, t *topic) { t.state = topicSubscribing })
	for i := range n {
		l.leave(strconv.Itoa(i), 1)
	}
	if l.sweepSome() {
		t.Error("sweep goes on and on")
	}
	if l.lingering.n != n {
		t.Fatalf("%d linger, want %d", l.lingering.n, n)
	}
	l.topics.each(func(_ uint32, t *topic) { t.state = topicLive })
	rounds := 0
	for l.sweepSome() {
		if rounds++; rounds > n/4096 {
			t.Fatal("sweep goes on and on")
		}
	}
	if l.lingering.n != 0 || len(l.unwanted) != n {
		t.Errorf("%d linger, %d are to be unsubscribed from", l.lingering.n, len(l.unwanted))
	}
}

// The list against a model: a slice of names.
func TestLingeringAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := DefaultConfig()
		c.MaxLingering = rapid.IntRange(0, 8).Draw(rt, "most")
		_, l := offline(t, c)
		var model []string // that linger, the ones left first in front
		joined := make(map[string]bool)
		name := rapid.Map(rapid.IntRange(0, 20), strconv.Itoa)
		without := func(n string) {
			for i, other := range model {
				if other == n {
					model = append(model[:i:i], model[i+1:]...)
					return
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"join": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				l.join(n, 1)
				joined[n] = true
				without(n)
			},
			"leave": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				l.leave(n, 1)
				if joined[n] {
					delete(joined, n)
					if model = append(model, n); len(model) > c.MaxLingering {
						model = model[1:]
					}
				}
			},
			"": func(rt *rapid.T) {
				var got []string
				for p := l.lingering.first; p != 0; _, p = l.topics.at(p).neighbours() {
					got = append(got, l.topics.channel(l.topics.at(p)))
				}
				var back []string
				for p := l.lingering.last; p != 0; p, _ = l.topics.at(p).neighbours() {
					back = append([]string{l.topics.channel(l.topics.at(p))}, back...)
				}
				if fmt.Sprint(got) != fmt.Sprint(model) || fmt.Sprint(back) != fmt.Sprint(model) || l.lingering.n != len(model) {
					rt.Fatalf("%v linger, backwards %v, counted %d, want %v", got, back, l.lingering.n, model)
				}
				if l.topics.len() != len(model)+len(joined) {
					rt.Fatalf("%d topics for %d that linger and %d joined", l.topics.len(), len(model), len(joined))
				}
			},
		})
	})
}
