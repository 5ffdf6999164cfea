package fanout

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
)

// largeStream fills the stream of c with n messages of a size, and runs a broker that
// has joined it.
func largeStream(t *testing.T, n, size int, c func(*Config)) (*redisServer, *Broker, *recorder, []string) {
	t.Helper()
	server := startRedis(t)
	var ids []string
	for i := range n {
		ids = append(ids, server.publishDurable("c", strconv.Itoa(i)+" "+strings.Repeat("x", size), 100_000))
	}
	config := testConfig(server.URL())
	if c != nil {
		c(&config)
	}
	b := runBroker(t, config)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	return server, b, r, ids
}

// firstWords returns the numbers that the payloads begin with.
func firstWords(messages []*message.Message) []int {
	var list []int
	for _, text := range payloads(messages) {
		n, _ := strconv.Atoi(strings.Fields(text)[0])
		list = append(list, n)
	}
	return list
}

func fromTo(from, to int) (list []int) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// However large the messages are, neither Redis nor a client gets more to do at once than a
// page, and all of them arrive in the end.
func TestReplayComesInPages(t *testing.T) {
	const n, size = 40, 60_000
	_, b, r, ids := largeStream(t, n, size, nil)
	for name, tc := range map[string]struct {
		since string
		want  int // the first
		gap   bool
	}{
		"from a message":     {ids[4], 5, false},
		"from the beginning": {"0-0", 0, false},
		"from another node":  {"~other-1", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			most, pages := 0, 0
			a := r.replay(t, b, "c", mustPosition(t, tc.since))
			got := firstWords(a.Messages)
			if (a.Gap != nil) != tc.gap {
				t.Errorf("gap %v", a.Gap)
			}
			for ; a.More; pages++ {
				most = max(most, len(a.Messages))
				if p := a.Messages[len(a.Messages)-1].ID; p != a.Position {
					t.Errorf("a page of messages up to %v ends at %v", p, a.Position)
				}
				a = r.answer(t, "c", "more", func(done func(Replay)) { b.ReplayMore("c", &a, done) })
				if a.Gap != nil {
					t.Errorf("gap %v at page %d", a.Gap, pages)
				}
				got = append(got, firstWords(a.Messages)...)
			}
			if !slices.Equal(got, fromTo(tc.want, n)) {
				t.Errorf("got %v", got)
			}
			if most > pageBytes/size || pages < n*size/pageBytes/2 {
				t.Errorf("%d pages, %d messages at most in one", pages, most)
			}
		})
	}
}

// A replay of a stream longer than config.ReplayMessages has the newest, the first page after a
// gap: their start is looked for once for all replays of a second.
func TestReplayOfALongStreamBeginsAtItsNewest(t *testing.T) {
	const n, size, newest = 60, 60_000, 30
	server, b, r, ids := largeStream(t, n, size, func(c *Config) { c.ReplayMessages = newest })
	before := server.Calls("xrevrange")
	for range 5 {
		a := r.pages(t, b, "c", mustPosition(t, ids[3]))
		if got := firstWords(a.Messages); a.Gap == nil || !slices.Equal(got, fromTo(n-newest, n)) {
			t.Errorf("gap %v, got %v", a.Gap, got)
		}
		if a := r.pages(t, b, "c", mustPosition(t, ids[n-newest-1])); a.Gap != nil || len(a.Messages) != newest {
			t.Errorf("within the bound: gap %v, %d messages", a.Gap, len(a.Messages))
		}
	}
	if reads := server.Calls("xrevrange") - before; reads > 10 {
		t.Errorf("%d reads backwards", reads)
	}
	// A message after the newest of them isn't passed over later.
	server.publishDurable("c", "60 x", 100_000)
	r.wait(t, "c", 2)
	if a := r.pages(t, b, "c", mustPosition(t, ids[3])); !slices.Equal(firstWords(a.Messages[len(a.Messages)-newest:]), fromTo(n-newest+1, n+1)) {
		t.Errorf("got %v", firstWords(a.Messages))
	}
}

// A trim between two pages is a gap in the second one.
func TestTrimBetweenPages(t *testing.T) {
	const n = 40
	server, b, r, _ := largeStream(t, n, 60_000, nil)
	a := r.replay(t, b, "c", message.Position{})
	if a.Gap != nil || !a.More {
		t.Fatalf("gap %v, more %v", a.Gap, a.More)
	}
	last := a.Position
	server.Do("XTRIM", "{push:c}:log", "MAXLEN", 10)
	a = r.answer(t, "c", "more", func(done func(Replay)) { b.ReplayMore("c", &a, done) })
	if a.Gap == nil || a.Gap.Since != last || firstWords(a.Messages)[0] != n-10 {
		t.Errorf("gap %+v, from %v on", a.Gap, firstWords(a.Messages))
	}
}

// Plain messages that a ring loses between two pages are a gap in a later one, once.
func TestLossBetweenPages(t *testing.T) {
	server, b, r, _ := largeStream(t, 40, 60_000, func(c *Config) { c.Ring.Messages = 2 })
	a := r.replay(t, b, "c", message.Position{})
	for i := range 5 {
		server.publish("c", strconv.Itoa(100+i)+" plain")
	}
	r.wait(t, "c", 1+1+5)
	gaps := 0
	for a.More {
		a = r.answer(t, "c", "more", func(done func(Replay)) { b.ReplayMore("c", &a, done) })
		if a.Gap != nil {
			gaps++
		}
	}
	if got := firstWords(a.Messages); gaps != 1 || !slices.Equal(got[len(got)-2:], []int{103, 104}) {
		t.Errorf("%d gaps, and in the end %v", gaps, got)
	}
}

// Streams are read only as long as not too much of them waits to be sent.
func TestReplaysWaitForThoseThatAreOut(t *testing.T) {
	const pages = 40
	server := startRedis(t)
	config := testConfig(server.URL())
	config.Connections = 1
	b := runBroker(t, config)
	l := b.links[0]

	most := lentBytes / pageBytes
	var answered atomic.Int64
	done := make(chan Replay, 2*most)
	for k := range most + pages {
		channel := "c" + strconv.Itoa(k)
		for range 5 {
			server.publishDurable(channel, strings.Repeat("x", 60_000), 100)
		}
		b.Replay(channel, message.Position{}, func(a Replay) { answered.Add(1); done <- a })
	}
	eventually(t, "the pages are out", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.lent >= l.mostLent && len(l.waits) > pages-3*replayers
	})
	n := int(answered.Load())
	if n < most || n > most+3*replayers {
		t.Errorf("%d pages are out", n)
	}
	for range most + pages {
		a := <-done
		a.Done()
		a.Done()
	}
	eventually(t, "none is out", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.lent == 0
	})
}

// Incessant replays of one channel don't hold up replays of others.
func TestReplaysTakeTurns(t *testing.T) {
	server, b, r, _ := largeStream(t, 60, 60_000, func(c *Config) { c.Connections = 1 })
	for i := range replayers {
		for range 20 {
			server.publishDurable("busy"+strconv.Itoa(i), strings.Repeat("x", 60_000), 100)
		}
	}
	var stop atomic.Bool
	var again func(channel string) func(Replay)
	again = func(channel string) func(Replay) {
		return func(a Replay) {
			go func() {
				if a.Done(); !stop.Load() {
					b.Replay(channel, message.Position{}, again(channel))
				}
			}()
		}
	}
	defer stop.Store(true)
	for i := range replayers {
		for range 3 {
			b.Replay("busy"+strconv.Itoa(i), message.Position{}, again("busy"+strconv.Itoa(i)))
		}
	}
	if a := r.pages(t, b, "c", message.Position{}); len(a.Messages) != 60 {
		t.Errorf("%d messages", len(a.Messages))
	}
}

// An entry that was removed from the middle of a stream is missing to replays from before it.
func TestRemovedEntryIsAGap(t *testing.T) {
	server := startRedis(t)
	var ids []string
	for i := range 10 {
		ids = append(ids, server.publishDurable("c", strconv.Itoa(i)+" x", 100))
	}
	server.Do("XDEL", "{push:c}:log", ids[5])
	c := testConfig(server.URL())
	c.Ring.Messages = 1 // no replay finds the messages of an earlier read
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	for i, id := range ids[:9] {
		if a := r.replay(t, b, "c", mustPosition(t, id)); (a.Gap != nil) != (i < 5) {
			t.Errorf("from %d: gap %v", i, a.Gap)
		}
	}
	if a := r.newest(t, b, "c", 7); a.Gap != nil || len(a.Messages) != 7 {
		t.Errorf("the newest: gap %v, %v", a.Gap, payloads(a.Messages))
	}
	server.Do("XTRIM", "{push:c}:log", "MAXLEN", 8)
	if a := r.replay(t, b, "c", mustPosition(t, ids[6])); a.Gap != nil {
		t.Errorf("trimmed before it: gap %v", a.Gap)
	}
}
