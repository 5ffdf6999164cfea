package fanout

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
)

// waitCounts returns how many wait for replays, and the topics that they and
// the replayers' queue are kept for.
func (l *link) waitCounts() (waits, topics, queued int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waits {
		waits += len(w.list)
	}
	return waits, len(l.waits), len(l.replaying)
}

// While streams can't be read, cancelled replays leave nothing behind, neither in one channel
// nor in one each.
func TestCancelledReplaysDontPileUp(t *testing.T) {
	const clients, rounds = 200, 20
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Connections, c.Linger = 1, 20*time.Millisecond
	c.ProbeInterval = time.Minute // the link holds on to the server that hangs
	b := runBroker(t, c)
	waitReady(t, b)
	l := b.links[0]
	r := newRecorder()
	var ids []string
	for n := range 3 {
		ids = append(ids, server.publishDurable("shared", n, 100))
	}
	join(b, "shared", r)
	r.wait(t, "shared", 1)
	own := func(i int) string { return fmt.Sprintf("own%d", i) }
	for i := range clients {
		join(b, own(i), r)
		r.wait(t, own(i), 1)
	}

	server.Signal(syscall.SIGSTOP)
	done := make(chan Replay, 1)
	b.Replay("shared", mustPosition(t, ids[0]), func(a Replay) { done <- a })
	never := func(Replay) {}
	most := 0
	for range rounds {
		for i := range clients {
			for _, channel := range []string{"shared", own(i)} {
				b.Replay(channel, message.Position{Ms: 1}, never).Cancel()
			}
			waits, _, _ := l.waitCounts()
			most = max(most, waits)
		}
	}
	if most > (clients+1)*minWaits {
		t.Errorf("%d replays were kept at a time", most)
	}
	for i := range clients {
		b.Leave(own(i), r)
	}
	eventually(t, "the channels are forgotten", func() bool {
		_, topics, _ := l.waitCounts()
		// A replayer may be at one of them.
		return topics <= 1+replayers && b.Stats().Channels <= 1+replayers
	})
	for i := range 3 * clients {
		join(b, "passing", r)
		b.Replay("passing", message.Position{Ms: 1}, never).Cancel()
		b.Leave("passing", r)
		if _, topics, queued := l.waitCounts(); queued > 3*clients || topics > 2+replayers {
			t.Fatalf("after %d: %d places in the queue for %d channels", i, queued, topics)
		}
	}

	server.Signal(syscall.SIGCONT)
	select {
	case a := <-done:
		if got := fmt.Sprint(payloads(a.Messages)); got != "[1 2]" || a.Gap != nil {
			t.Errorf("who waited got %s, gap %v", got, a.Gap)
		}
	case <-time.After(testDeadline):
		t.Fatal("who waited got no answer")
	}
	for i := range clients {
		id := server.publishDurable(own(i), i, 100)
		if a := r.replay(t, b, own(i), mustPosition(t, id)); len(a.Messages) > 0 || a.Gap != nil {
			t.Fatalf("%s: %v, gap %v", own(i), payloads(a.Messages), a.Gap)
		}
	}
	eventually(t, "nobody waits", func() bool { _, topics, queued := l.waitCounts(); return topics == 0 && queued == 0 })
}

// The places of topics that were given up don't fill the replayers' queue.
func TestReplayQueueIsBounded(t *testing.T) {
	_, l := offline(t, DefaultConfig())
	for i := range 10_000 {
		id, tp := l.openLive(fmt.Sprint("c", i))
		l.replay(fmt.Sprint("c", i), &Request{since: message.Position{Ms: 1}}).Cancel()
		l.mu.Lock()
		if !l.giveUpWaits(id) {
			t.Fatal("who has gone still waits")
		}
		l.forget(id, tp)
		l.mu.Unlock()
	}
	if _, topics, queued := l.waitCounts(); topics != 0 || queued > minWaits+2 {
		t.Errorf("%d places in the queue, %d topics", queued, topics)
	}
	// One that is there again isn't taken twice.
	l.openLive("c")
	l.replay("c", &Request{since: message.Position{Ms: 1}})
	if _, waits := l.nextReplay(); waits == nil {
		t.Error("nobody is served")
	}
	if id, waits := l.nextReplay(); waits != nil {
		t.Errorf("topic %d is served twice", id)
	}
}

// A sink can withdraw a join until it has been answered.
func TestWithdraw(t *testing.T) {
	server := newRedis(t)
	c := testConfig(server.URL())
	c.Linger = 20 * time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "a", r)
	join(b, "b", r)
	if !b.Withdraw("a", r) {
		t.Error("a join without an answer can't be withdrawn")
	}
	if b.Withdraw("a", r) || b.Withdraw("nowhere", r) {
		t.Error("what wasn't asked for is withdrawn")
	}
	eventually(t, "the channel is forgotten", func() bool { return b.Stats().Channels == 1 })
	server.Start()
	r.wait(t, "b", 1)
	if b.Withdraw("b", r) {
		t.Error("a join that was answered is withdrawn")
	}
	server.publish("b", "1")
	r.wait(t, "b", 2)
	if got := r.texts("a"); len(got) > 0 {
		t.Errorf("who withdrew was told %v", got)
	}
}

// Nothing is read for a wait that is cancelled while others are answered.
func TestLastWaitLeavesAmongAnswers(t *testing.T) {
	_, l := offline(t, DefaultConfig())
	id, tp := l.openLive("c")
	l.take(id, tp, heldMessage{id: message.StreamID{Ms: 1, Seq: 0}, payload: "1", durable: true})
	ahead := &Request{since: message.Position{Ms: 2}}
	waits := &replayWaits{}
	waits.add(ahead)
	waits.add(&Request{since: message.Position{Ms: 1}, done: func(Replay) { ahead.Cancel() }})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waits[id] = waits
	if n := l.serveRings(id, tp); n != (need{}) {
		t.Errorf("%+v is to be read for nobody", n)
	}
}

// A message arrives while the waits of one topic are answered, from its ring or from its
// stream, and the later answers have the message.
func TestManyWaitsLeaveTheLink(t *testing.T) {
	const clients = 20_000
	for from, since := range map[string]message.Position{"ring": {Ms: 4}, "stream": {Ms: 1}} {
		t.Run(from, func(t *testing.T) {
			c := DefaultConfig()
			c.Ring.Messages = 2
			_, l := offline(t, c)
			id, tp := l.openLive("c")
			come := func(ms uint64) {
				l.take(id, tp, heldMessage{id: message.StreamID{Ms: ms, Seq: 0}, payload: fmt.Sprint(ms), durable: true})
			}
			read := history{from: message.StreamID{Ms: 1, Seq: 0}, to: message.StreamID{Ms: 4, Seq: 0}, length: 4, complete: true, end: true}
			for ms := uint64(2); ms <= 4; ms++ {
				come(ms)
				read.entries = append(read.entries, entry{id: message.StreamID{Ms: ms, Seq: 0}, payload: fmt.Sprint(ms)})
			}
			answers, before := map[string]int{}, make(chan int, 1)
			answered := 0 // guarded by the link's mu
			done := func(a Replay) {
				answers[fmt.Sprint(payloads(a.Messages))]++
				if answered++; answered == 1 {
					go func() {
						come(5)
						l.mu.Lock()
						defer l.mu.Unlock()
						before <- answered
					}()
				}
				for began := time.Now(); time.Since(began) < 5*time.Microsecond; {
				}
			}
			waits := &replayWaits{}
			for range clients {
				waits.add(&Request{since: since, done: done})
			}
			l.waits[id] = waits
			for rounds := 0; answered < clients; rounds++ {
				if rounds > clients/waitsPerTurn {
					t.Fatalf("%d are answered after %d rounds", answered, rounds)
				}
				l.mu.Lock()
				left := l.serveRings(id, tp).left
				l.mu.Unlock()
				if left {
					l.serveHistory(id, tp, read)
				}
			}
			if n := <-before; n > clients/2 {
				t.Errorf("%d were answered before others had the link", n)
			}
			want := map[string][2]string{"ring": {"[]", "[5]"}, "stream": {"[2 3 4]", "[2 3 4 5]"}}[from]
			if len(answers) != 2 || answers[want[0]] == 0 || answers[want[1]] == 0 {
				t.Errorf("they got %v", answers)
			}
		})
	}
}
