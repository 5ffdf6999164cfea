package fanout

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever the ring holds of a stream, a replay returns its newest messages, without a gap. The
// position before them leads to them again.
func TestNewestOfAStream(t *testing.T) {
	for _, ring := range []int{1, 10, 128} {
		for _, n := range []int{1, 10, 31, 45, 59, 60, 61, 1000} {
			t.Run(fmt.Sprintf("ring of %d, newest %d", ring, n), func(t *testing.T) {
				t.Parallel()
				_, b, r, ids := filled(t, func(c *Config) { c.Ring.Messages = ring })
				for range 2 {
					a := r.newest(t, b, "c", n)
					if got := payloads(a.Messages); !slices.Equal(got, numbers(max(0, 60-n))) || a.Gap != nil {
						t.Fatalf("gap %v, got %v", a.Gap, got)
					}
					if a.Seq != 30 || a.Position.String() != ids[59] || !a.DurableOnly {
						t.Errorf("ends at seq %d, %s, %v", a.Seq, a.Position, a.DurableOnly)
					}
					again := r.replay(t, b, "c", a.Before)
					if got := payloads(again.Messages); again.Gap != nil || !slices.Equal(got, payloads(a.Messages)) {
						t.Errorf("from %s before them: gap %v, got %v", a.Before, again.Gap, got)
					}
				}
			})
		}
	}
}

// The trimmed front of a stream is no gap, and the stream is read once while its ring is there.
func TestNewestOfATrimmedStream(t *testing.T) {
	for name, tc := range map[string]struct {
		trim int // to that many
		want int // the first of them
	}{
		"some":    {40, 20},
		"few":     {5, 55},
		"one":     {1, 59},
		"nothing": {0, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			for i := range 60 {
				server.publishDurable("c", strconv.Itoa(i), 10_000)
			}
			server.Do("XTRIM", "{push:c}:log", "MAXLEN", tc.trim)
			b := runBroker(t, testConfig(server.URL()))
			r := newRecorder()
			join(b, "c", r)
			r.wait(t, "c", 1)
			for k := range 3 {
				a := r.newest(t, b, "c", 100)
				if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, numbers(tc.want)) {
					t.Fatalf("gap %v, got %v", a.Gap, got)
				}
				if reads := b.Stats().HistoryReads; reads > 1 {
					t.Errorf("%d reads of the stream for %d times its newest", reads, k+1)
				}
			}
		})
	}
}

// A channel without a stream has its ring, one with plain messages among durable
// ones both.
func TestNewestOfPlainMessages(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Ring.Messages = 8
	b := runBroker(t, c)
	for _, channel := range []string{"plain", "mixed", "unused"} {
		if channel == "mixed" {
			for i := range 20 {
				server.publishDurable(channel, "old "+strconv.Itoa(i), 100)
			}
		}
		r := newRecorder()
		join(b, channel, r)
		r.wait(t, channel, 1)
		want := []string{}
		for i := range 6 {
			switch {
			case channel == "unused":
				continue
			case channel == "mixed" && i%2 == 0:
				server.publishDurable(channel, i, 100)
			default:
				server.publish(channel, i)
			}
			want = append(want, strconv.Itoa(i))
		}
		r.wait(t, channel, 1+len(want))
		for _, n := range []int{1, 3, 6} {
			a := r.newest(t, b, channel, n)
			if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, want[max(0, len(want)-n):]) {
				t.Errorf("%s: newest %d: gap %v, got %v", channel, n, a.Gap, got)
			}
		}
		if channel == "mixed" {
			want = append([]string{"old 16", "old 17", "old 18", "old 19"}, want...)
		}
		a := r.newest(t, b, channel, 10)
		if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, want) {
			t.Errorf("%s: newest 10: gap %v, got %v", channel, a.Gap, got)
		}
	}
}

// Simultaneous replays share their reads, also with replays from positions, which get all
// missed messages.
func TestNewestShareTheirReads(t *testing.T) {
	const clients = 1000
	server, b, _, ids := filled(t, func(c *Config) { c.Ring.Messages, c.Ring.Bytes = 4, 1<<20 })
	before := server.Calls("xrevrange")
	var wg sync.WaitGroup
	wg.Add(clients)
	answers := make([]Replay, clients)
	for i := range clients {
		done := func(a Replay) {
			answers[i] = a
			wg.Done()
		}
		if i%4 == 0 {
			b.Replay("c", mustPosition(t, ids[i%40]), done)
		} else {
			b.ReplayNewest("c", i%40+1, done)
		}
	}
	wg.Wait()
	for i, a := range answers {
		want := numbers(59 - i%40)
		if i%4 == 0 {
			want = numbers(i%40 + 1)
		}
		if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, want) {
			t.Fatalf("client %d: gap %v, got %v", i, a.Gap, got)
		}
	}
	if reads := server.Calls("xrevrange") - before; reads > 30 {
		t.Errorf("%d reads of the stream for %d clients", reads, clients)
	}
}

// A replay of few messages reads few, however long the stream is.
func TestNewestReadNoMore(t *testing.T) {
	server := startRedis(t)
	for range 20 {
		for range 100 {
			server.publishDurable("c", "x", 100_000)
		}
	}
	c := testConfig(server.URL())
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	if a := r.newest(t, b, "c", 20); len(a.Messages) != 20 || a.Gap != nil {
		t.Fatalf("%d messages, gap %v", len(a.Messages), a.Gap)
	}
	if n := b.Inspect("c").RingMessages; n != 20 {
		t.Errorf("%d messages were read", n)
	}
}

// Deliver goes on where the newest end, whatever is published meanwhile.
func TestNewestJoinUpWithDelivery(t *testing.T) {
	const messages, n = 2000, 50
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Ring.Messages = 16
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	var sent atomic.Int64 // or about to be
	go func() {
		for i := range messages {
			sent.Add(1)
			server.publishDurable("c", strconv.Itoa(i), 10_000)
		}
	}()
	var sentBy []int // by each answer
	for len(r.of("c")) < messages {
		r.newest(t, b, "c", n)
		sentBy = append(sentBy, int(sent.Load()))
	}
	eventually(t, "the last message", func() bool {
		return slices.Contains(r.texts("c"), strconv.Itoa(messages-1)) // an answer may follow it
	})
	seen := -1
	for i, e := range r.of("c")[1:] {
		if e.text != "replay" {
			if seen++; e.text != strconv.Itoa(seen) {
				t.Fatalf("event %d: %q after %d", i, e.text, seen)
			}
			continue
		}
		got := payloads(e.replay.Messages)
		// Of the n that were read, some may have been on their way here.
		onTheirWay := sentBy[0] - (seen + 1)
		sentBy = sentBy[1:]
		if len(got) > n || len(got) < min(n-onTheirWay, seen+1) || e.replay.Gap != nil || int(e.replay.Seq) != seen+1 {
			t.Fatalf("event %d: the newest after %d are %v, gap %v, up to %d, %d on their way", i, seen, got, e.replay.Gap, e.replay.Seq, onTheirWay)
		}
		for k, text := range got {
			if text != strconv.Itoa(seen-len(got)+1+k) {
				t.Fatalf("event %d: the newest after %d are %v", i, seen, got)
			}
		}
	}
}
