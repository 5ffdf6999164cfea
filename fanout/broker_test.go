package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/pushgate/pushgate/fanout/message"
)

func TestPlainMessagesArriveInOrder(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "news", r)
	first := r.wait(t, "news", 1)[0]
	if first.text != "joined" || !first.joined.Unused || first.joined.Position.Node != "node1" || first.joined.Seq != 0 {
		t.Fatalf("first event: %+v", first)
	}
	for i := range 500 {
		server.publish("news", strconv.Itoa(i))
	}
	last := first.joined.Position
	for i, e := range r.wait(t, "news", 501)[1:] {
		if e.text != strconv.Itoa(i) || e.msg.Seq != uint32(i+1) || !last.Less(e.msg.ID) || e.msg.Arrived != e.msg.ID.Seq {
			t.Fatalf("message %d: %q seq %d id %s after %s", i, e.text, e.msg.Seq, e.msg.ID, last)
		}
		last = e.msg.ID
	}
	if ago := time.Since(time.UnixMilli(int64(last.Time()))); ago < 0 || ago > testDeadline {
		t.Errorf("%s is the id of a message of %v ago", last, ago)
	}
}

func TestConcurrentPublishersKeepTheirOrder(t *testing.T) {
	const publishers, each = 8, 500
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r1, r2 := newRecorder(), newRecorder()
	join(b, "busy", r1)
	join(b, "busy", r2)
	r1.wait(t, "busy", 1)
	r2.wait(t, "busy", 1)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				server.publish("busy", fmt.Sprintf("%d %d", p, i))
			}
		})
	}
	wg.Wait()
	got := r1.wait(t, "busy", 1+publishers*each)
	next := make([]int, publishers)
	for _, e := range got[1:] {
		var p, i int
		if _, err := fmt.Sscan(e.text, &p, &i); err != nil {
			t.Fatal(err)
		}
		if i != next[p] {
			t.Fatalf("publisher %d: got %d, want %d", p, i, next[p])
		}
		next[p]++
	}
	r2.wait(t, "busy", 1+publishers*each)
	if !slices.Equal(r1.texts("busy"), r2.texts("busy")) {
		t.Fatal("two members saw different orders")
	}
}

func TestJoinOfALiveChannelIsAnsweredAtOnce(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r1, r2 := newRecorder(), newRecorder()
	join(b, "news", r1)
	r1.wait(t, "news", 1)
	server.publish("news", "one")
	r1.wait(t, "news", 2)
	join(b, "news", r2)
	got := r2.of("news")
	if len(got) != 1 || got[0].joined.Seq != 1 || got[0].joined.Unused || got[0].joined.Position != r1.of("news")[1].msg.ID {
		t.Fatalf("got %+v", got)
	}
	b.Leave("news", r1)
	server.publish("news", "two")
	r2.wait(t, "news", 2)
	if got := r1.texts("news"); !slices.Equal(got, []string{"joined", "one"}) {
		t.Fatalf("after Leave: %v", got)
	}
}

func TestForeignPayloadsArePlain(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "bytes", r)
	r.wait(t, "bytes", 1)
	sent := []string{"", "\x1e", "\x1e\x1e", "\x1e1\x1ex", "\x1e1-2", "\x1e~n-2\x1ex", "\x1e01-2\x1ex", "\xff\x00", "\x1e0-0\x1ex"}
	for _, p := range sent {
		server.publish("bytes", p)
	}
	r.wait(t, "bytes", 1+len(sent))
	if got := r.texts("bytes")[1:]; !slices.Equal(got, sent) {
		t.Fatalf("got %q", got)
	}
}

func TestManyJoinsAreFewCommands(t *testing.T) {
	const channels = 10_000
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	waitReady(t, b)
	r := newRecorder()
	for i := range channels {
		join(b, "user."+strconv.Itoa(i), r)
	}
	eventually(t, "all channels joined", func() bool {
		s := b.Stats()
		return s.Channels == channels && s.Links[0].Pending+s.Links[1].Pending == 0
	})
	if n := server.Calls("subscribe"); n > 400 {
		t.Errorf("%d SUBSCRIBE commands for %d channels", n, channels)
	} else {
		t.Logf("%d SUBSCRIBE commands for %d channels", n, channels)
	}
	for i := range channels {
		if got := r.texts("user." + strconv.Itoa(i)); !slices.Equal(got, []string{"joined"}) {
			t.Fatalf("channel %d: %v", i, got)
		}
	}
}

func TestConnectionKilled(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	for i := range 1000 {
		join(b, "c"+strconv.Itoa(i), r)
	}
	for i := range 1000 {
		r.wait(t, "c"+strconv.Itoa(i), 1)
	}
	waitReady(t, b)
	server.publish("c7", "before")
	r.wait(t, "c7", 2)
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, "both connections are made again", func() bool {
		return b.Stats().Reconnects >= 2 && b.Ready() == nil
	})
	got := r.wait(t, "c7", 3)[2]
	before := r.of("c7")[1].msg.ID
	if got.text != "gap:broker" || got.gap.Since.Less(before) || got.gap.Seq != 2 {
		t.Fatalf("after the outage: %+v", got)
	}
	behind := b.Since("c7", 2).Plain
	server.publish("c7", "after")
	if got := r.wait(t, "c7", 4)[3]; got.text != "after" || got.msg.Seq != 3 {
		t.Fatalf("after the outage: %+v", got)
	}
	// A replay from before the outage lacks the lost messages.
	if a := r.replay(t, b, "c7", before); a.Gap == nil || !slices.Equal(payloads(a.Messages), []string{"after"}) {
		t.Fatalf("replay over the outage: %+v", a)
	}
	if a := r.replay(t, b, "c7", behind); a.Gap != nil || !slices.Equal(payloads(a.Messages), []string{"after"}) {
		t.Fatalf("replay after the outage: %+v", a)
	}
}

func TestAbsentAtStart(t *testing.T) {
	server := newRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "early", r)
	eventually(t, "the reason is known", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "connection refused")
	})
	server.Start()
	r.wait(t, "early", 1)
	waitReady(t, b)
	server.publish("early", "hello")
	r.wait(t, "early", 2)
	if got := r.texts("early"); !slices.Equal(got, []string{"joined", "hello"}) {
		t.Fatalf("got %v", got)
	}
}

func TestServerKilledAndStarted(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	waitReady(t, b)
	for range 3 {
		server.Kill()
		waitNotReady(t, b)
		join(b, "meanwhile", r)
		server.Start()
		waitReady(t, b)
		server.publish("news", "again")
		eventually(t, "the message after the restart", func() bool {
			got := r.texts("news")
			return got[len(got)-1] == "again"
		})
	}
	want := []string{"joined", "gap:broker", "again", "gap:broker", "again", "gap:broker", "again"}
	if got := r.texts("news"); !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	if err := r.wait(t, "meanwhile", 1)[0]; err.text != "joined" {
		t.Fatalf("joined during the outage: %+v", err)
	}
}

func TestRunReturnsWhileRedisIsAway(t *testing.T) {
	server := newRedis(t)
	b, stop := startBroker(t, testConfig(server.URL()), "node1")
	waitNotReady(t, b)
	stop()
	if err := b.Run(context.Background()); err == nil {
		t.Fatal("a second Run was allowed")
	}
}

func TestTopicSize(t *testing.T) {
	if n := unsafe.Sizeof(topic{}); n != 80 {
		t.Errorf("a topic has %d bytes, want 80: there may be a million", n)
	}
}

func TestPrefixesShareOneServer(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Prefix = "other:"
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	server.publish("news", "for push:")
	if err := server.Client.Publish(context.Background(), "other:news", "for other:").Err(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "news", 2)
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "for other:"}) {
		t.Fatalf("got %v", got)
	}
}

// A read under way is no reason to go on as if Redis delivered, nor to wait with
// the end.
func TestReadsUnderWayAreNotWaitedFor(t *testing.T) {
	server := startRedis(t)
	b, stop := startBroker(t, testConfig(server.URL()+"?read_timeout=10m"), "node1")
	defer stop()
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	waitReady(t, b)
	server.Signal(syscall.SIGSTOP)
	b.Replay("news", message.Position{Ms: 1}, func(Replay) {})
	eventually(t, "the history is being read", func() bool { return b.Stats().HistoryReads == 1 })
	waitNotReady(t, b)
	stop()
}

// A late probe over an abandoned connection doesn't count.
func TestLateProbe(t *testing.T) {
	_, l := offline(t, DefaultConfig())
	p := &pubsub{l: l}
	p.probeHeard("")
	if err := l.ready(); err != nil {
		t.Fatal(err)
	}
	if !l.fail(context.Canceled) {
		t.Error("the link had not delivered")
	}
	p.probeHeard("")
	if l.ready() == nil {
		t.Error("a link that is lost delivers")
	}
	l.lost()
	if l.ready() == nil {
		t.Error("a link delivers before its first probe")
	}
	p.probeHeard("")
	if err := l.ready(); err != nil {
		t.Error(err)
	}
}
