package fanout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
)

// filled runs a broker with a channel that had 30 durable messages before it
// was joined and 30 after, and returns all ids.
func filled(t *testing.T, c func(*Config)) (*redisServer, *Broker, *recorder, []string) {
	t.Helper()
	server := startRedis(t)
	config := testConfig(server.URL())
	if c != nil {
		c(&config)
	}
	b := runBroker(t, config)
	r := newRecorder()
	ids := make([]string, 60)
	for i := range ids {
		if i == 30 {
			join(b, "c", r)
			r.wait(t, "c", 1)
		}
		ids[i] = server.publishDurable("c", strconv.Itoa(i), 10_000)
	}
	r.wait(t, "c", 31)
	return server, b, r, ids
}

// numbers returns the decimals of from to 59.
func numbers(from int) []string {
	list := []string{}
	for i := from; i < 60; i++ {
		list = append(list, strconv.Itoa(i))
	}
	return list
}

func TestReplayOfDurableMessages(t *testing.T) {
	// One ring each, so that no replay finds the messages of an earlier read.
	for _, ring := range []int{1, 10, 128} {
		for _, from := range []int{0, 1, 15, 29, 30, 31, 50, 59, 60} {
			t.Run(fmt.Sprintf("ring of %d from %d", ring, from), func(t *testing.T) {
				t.Parallel()
				_, b, r, ids := filled(t, func(c *Config) { c.Ring.Messages = ring })
				since := "0-0"
				if from > 0 {
					since = ids[from-1]
				}
				for range 2 {
					a := r.replay(t, b, "c", mustPosition(t, since))
					if got := payloads(a.Messages); !slices.Equal(got, numbers(from)) || a.Gap != nil {
						t.Fatalf("gap %v, got %v", a.Gap, got)
					}
					if a.Seq != 30 || a.Position.String() != ids[59] {
						t.Errorf("ends at seq %d, %s", a.Seq, a.Position)
					}
				}
			})
		}
	}
}

func TestReplayThatIsBounded(t *testing.T) {
	_, b, r, ids := filled(t, func(c *Config) { c.Ring.Messages, c.ReplayMessages = 5, 20 })
	a := r.replay(t, b, "c", mustPosition(t, ids[9]))
	if got := payloads(a.Messages); a.Gap == nil || a.Gap.Reason != GapHistory || !slices.Equal(got, numbers(40)) {
		t.Fatalf("gap %v, got %v", a.Gap, got)
	}
	if a := r.replay(t, b, "c", mustPosition(t, ids[39])); a.Gap != nil || !slices.Equal(payloads(a.Messages), numbers(40)) {
		t.Fatalf("at the bound: gap %v, got %v", a.Gap, payloads(a.Messages))
	}
	// One entry further back than the bound reaches, where nothing is missing
	// from the client's own position on.
	if a := r.replay(t, b, "c", mustPosition(t, ids[40])); a.Gap != nil || !slices.Equal(payloads(a.Messages), numbers(41)) {
		t.Fatalf("within the bound: gap %v, got %v", a.Gap, payloads(a.Messages))
	}
}

func TestPositionsThatCannotBeHonoured(t *testing.T) {
	tests := map[string]struct {
		since  string
		before func(s *redisServer)
		want   int // first of the numbers that are left
	}{
		"another node":         {since: "~other-3", want: 0},
		"future of the node":   {since: "~node1-99999999999999999", want: 0},
		"future of the stream": {since: "99999999999999-0", want: 0},
		"trimmed": {since: "1-1", want: 20,
			before: func(s *redisServer) { s.Do("XTRIM", "{push:c}:log", "MAXLEN", 40) }},
		"from the start of a trimmed stream": {since: "0-0", want: 20,
			before: func(s *redisServer) { s.Do("XTRIM", "{push:c}:log", "MAXLEN", 40) }},
		"emptied": {since: "1-1", want: 30, before: func(s *redisServer) { s.Do("FLUSHALL") }},
		"something else is there": {since: "1-1", want: 30, before: func(s *redisServer) {
			s.Do("DEL", "{push:c}:log")
			s.Do("SET", "{push:c}:log", "x")
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, b, r, _ := filled(t, nil)
			if test.before != nil {
				test.before(server)
			}
			a := r.replay(t, b, "c", mustPosition(t, test.since))
			if a.Gap == nil || a.Gap.Reason != GapHistory || a.Gap.Since.String() != test.since {
				t.Errorf("gap: %+v", a.Gap)
			}
			if got := payloads(a.Messages); !slices.Equal(got, numbers(test.want)) {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A client may have seen a message on another node before it gets here.
func TestReplayAheadOfThisNode(t *testing.T) {
	server, b, r, _ := filled(t, nil)
	ahead := server.Do("XADD", "{push:c}:log", "*", "data", "60").(string)
	last := server.Do("XADD", "{push:c}:log", "*", "data", "61").(string)
	a := r.replay(t, b, "c", mustPosition(t, ahead))
	if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, []string{"61"}) {
		t.Fatalf("gap %v, got %v", a.Gap, got)
	}
	server.publish("c", "\x1e"+ahead+"\x1e60")
	server.publish("c", "\x1e"+last+"\x1e61")
	server.publish("c", "end")
	eventually(t, "the end", func() bool { got := r.texts("c"); return got[len(got)-1] == "end" })
	if got := r.texts("c")[31:]; !slices.Equal(got, []string{"60", "61", "replay", "end"}) {
		t.Fatalf("got %v", got)
	}
}

// All clients of a node that went away reconnect at once.
func TestReplaysShareTheirReads(t *testing.T) {
	const clients = 1000
	server, b, _, ids := filled(t, func(c *Config) { c.Ring.Messages = 4 })
	before := server.Calls("xrange")
	var wg sync.WaitGroup
	answers := make([]Replay, clients)
	wg.Add(clients)
	for i := range clients {
		b.Replay("c", mustPosition(t, ids[i%50]), func(a Replay) {
			answers[i] = a
			wg.Done()
		})
	}
	wg.Wait()
	shared := make(map[*message.Message]bool)
	for i, a := range answers {
		if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, numbers(i%50+1)) {
			t.Fatalf("client %d: gap %v, got %v", i, a.Gap, got)
		}
		for _, m := range a.Messages {
			shared[m] = true
		}
	}
	reads := server.Calls("xrange") - before
	t.Logf("%d reads of the stream and %d messages made for %d replays", reads, len(shared), clients)
	if reads > 20 {
		t.Errorf("%d reads of the stream for %d replays", reads, clients)
	}
	if len(shared) > 59*reads+4 {
		t.Errorf("%d messages made for %d reads of 59", len(shared), reads)
	}
}

func TestReplayWaitsForTheConnection(t *testing.T) {
	server, b, _, ids := filled(t, func(c *Config) { c.Ring.Messages = 2 })
	waitReady(t, b)
	server.Signal(syscall.SIGSTOP)
	done := make(chan Replay, 1)
	b.Replay("c", mustPosition(t, ids[9]), func(a Replay) { done <- a })
	waitNotReady(t, b)
	select {
	case a := <-done:
		t.Fatalf("answered by a stopped server: %+v", a)
	default:
	}
	server.Signal(syscall.SIGCONT)
	a := <-done
	if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, numbers(10)) {
		t.Fatalf("gap %v, got %v", a.Gap, got)
	}
}

// A history that is too large to arrive in time in one reply.
func TestReplayOverASlowWay(t *testing.T) {
	const messages = 200
	server, _, b := slowBroker(t)
	for range messages {
		server.publishDurable("c", strings.Repeat("x", 8<<10), 1000)
	}
	if a := newRecorder().pages(t, b, "c", message.Position{}); len(a.Messages) != messages || a.Gap != nil {
		t.Errorf("%d messages, gap %v", len(a.Messages), a.Gap)
	}
}

func TestReplayWithoutJoin(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	first := server.publishDurable("c", "one", 10)
	server.publishDurable("c", "two", 10)
	a := newRecorder().replay(t, b, "c", mustPosition(t, first))
	if got := payloads(a.Messages); a.Gap != nil || !slices.Equal(got, []string{"two"}) {
		t.Fatalf("gap %v, got %v", a.Gap, got)
	}
}

// Deliver goes on where a replay ends, whatever is published meanwhile.
func TestReplayJoinsUpWithDelivery(t *testing.T) {
	const messages = 1500 // a page at most
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Ring.Messages, c.ReplayMessages = 16, 10_000
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	first := server.publishDurable("c", "0", 10_000)
	go func() {
		for i := 1; i <= messages; i++ {
			server.publishDurable("c", strconv.Itoa(i), 10_000)
		}
	}()
	for len(r.of("c")) < messages {
		r.replay(t, b, "c", mustPosition(t, first))
	}
	eventually(t, "the last message", func() bool {
		return slices.Contains(r.texts("c"), strconv.Itoa(messages)) // a replay may follow it
	})
	seen := -1
	for i, e := range r.of("c")[1:] {
		if e.text != "replay" {
			if seen++; e.text != strconv.Itoa(seen) {
				t.Fatalf("event %d: %q after %d", i, e.text, seen)
			}
			continue
		}
		if e.replay.Gap != nil || int(e.replay.Seq) != seen+1 || len(e.replay.Messages) != seen {
			t.Fatalf("event %d: replay of %d up to seq %d after message %d, gap %v",
				i, len(e.replay.Messages), e.replay.Seq, seen, e.replay.Gap)
		}
	}
}

// A time is no position of the channel: that there was nothing since is no gap.
func TestReplayFromATime(t *testing.T) {
	server := startRedis(t)
	server.Do("XADD", "{push:c}:log", "5000-0", "data", "0")
	server.Do("XADD", "{push:c}:log", "6000-0", "data", "1")
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	b.Join("c", r)
	r.wait(t, "c", 1)
	b.Join("empty", r)
	r.wait(t, "empty", 1)
	for range 2 {
		for _, tc := range []struct {
			channel  string
			ms       uint64
			messages string
			gap      bool
		}{
			{"c", 15_000, "[1]", false},
			{"c", 15_500, "[1]", false},
			{"c", 16_001, "[]", false},
			{"c", 1 << 60, "[]", false},
			{"empty", 15_000, "[]", true}, // it may have had plain ones before it was joined
			{"empty", 1 << 60, "[]", false},
		} {
			done := make(chan Replay, 1)
			b.ReplayTime(tc.channel, tc.ms, func(a Replay) { done <- a })
			a := <-done
			if got := fmt.Sprint(payloads(a.Messages)); got != tc.messages || (a.Gap != nil) != tc.gap {
				t.Errorf("%s from %d: %s, gap %v", tc.channel, tc.ms, got, a.Gap)
			}
		}
	}
}

// Plain messages that a ring has lost may have arrived before a time or after it.
func TestReplayFromATimeAmidLosses(t *testing.T) {
	server := startRedis(t)
	server.Do("XADD", "{push:c}:log", "5000-0", "data", "0")
	config := testConfig(server.URL())
	config.Ring.Messages = 2
	b := runBroker(t, config)
	r := newRecorder()
	b.Join("c", r)
	r.wait(t, "c", 1)
	for i := range 6 {
		server.publish("c", "plain")
		server.publishDurable("c", i, 100)
		r.wait(t, "c", 3+2*i)
		done := make(chan Replay, 1)
		b.ReplayTime("c", 16_000, func(a Replay) { done <- a })
		a := <-done
		if (a.Gap == nil) != (i == 0) || len(a.Messages) != i+2 {
			t.Errorf("after %d: gap %v, %v", i, a.Gap, payloads(a.Messages))
		}
	}
}

// A client that is ahead of this node has it read on in the stream. Messages that are trimmed
// there, and still on their way here, are not passed over in silence.
func TestPullOverTrimmed(t *testing.T) {
	server, b, r, _ := filled(t, nil)
	before := server.Do("XADD", "{push:c}:log", "*", "data", "trimmed").(string)
	ahead := server.Do("XADD", "{push:c}:log", "MAXLEN", "=", "1", "*", "data", "ahead").(string)
	r.replay(t, b, "c", mustPosition(t, ahead))
	server.publish("c", "\x1e"+before+"\x1etrimmed")
	server.publish("c", "\x1e"+ahead+"\x1eahead")
	server.publish("c", "end")
	eventually(t, "the end has come", func() bool { return slices.Contains(r.texts("c"), "end") })
	if got := r.texts("c"); !slices.Contains(got, "trimmed") && !slices.Contains(got, "gap:history") {
		t.Errorf("trimmed was missed in silence: %v", got[len(got)-4:])
	}
}

// A message that arrives while the stream is read for a client that is ahead isn't missing,
// though it is trimmed by then.
func TestPullBehindWhatCame(t *testing.T) {
	server, b, r, _ := filled(t, nil)
	l := b.link("c")
	l.mu.Lock()
	id, topic := l.topics.find("c")
	last := topic.last
	l.mu.Unlock()
	for n := range 300 { // the stream is trimmed by nodes of 100
		server.publishDurable("c", strconv.Itoa(n), 1)
	}
	eventually(t, "all have come", func() bool { return slices.Contains(r.texts("c"), "299") })
	l.mu.Lock()
	l.waits[id] = &replayWaits{queued: true, taken: true}
	l.mu.Unlock()
	if err := l.pull(t.Context(), id, "push:c", last, new(pageSizer)); err != nil {
		t.Fatal(err)
	}
	if got := r.texts("c"); slices.Contains(got, "gap:history") {
		t.Errorf("got %v", got[len(got)-4:])
	}
}
