package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

func forget(t testing.TB, b *Broker, channel string) int64 {
	t.Helper()
	had, err := b.Forget(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	return had
}

// heardOf waits until all earlier publications to a channel have arrived.
func (r *recorder) heardOf(t testing.TB, server *redisServer, channel string) {
	t.Helper()
	syncs := func() (n int) {
		for _, e := range r.of(channel) {
			if e.text == "sync" {
				n++
			}
		}
		return n
	}
	before := syncs()
	server.publish(channel, "sync")
	eventually(t, "sync", func() bool { return syncs() > before })
}

// Forgotten messages reach nobody any more, in order with the channel's messages. Positions
// from before get a gap, later ones don't, on this node and on any other, and subscribers
// notice nothing.
func TestForget(t *testing.T) {
	for name, tc := range map[string]struct{ durable, plain bool }{
		"durable": {durable: true}, "plain": {plain: true}, "mixed": {true, true}, "unused": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			b := runBroker(t, testConfig(server.URL()))
			other, stop := startBroker(t, testConfig(server.URL()), "node2")
			defer stop()
			r, r2 := newRecorder(), newRecorder()
			publish := func(k int) {
				if tc.durable && (!tc.plain || k%2 == 0) {
					server.publishDurable("c", strconv.Itoa(k), 1000)
				} else if tc.plain {
					server.publish("c", strconv.Itoa(k))
				}
			}
			join(b, "c", r)
			unused := r.wait(t, "c", 1)[0].joined.Position
			join(other, "c", r2)
			r2.wait(t, "c", 1)
			const n = 10
			want, durables := []string{"joined"}, int64(0)
			if tc.durable || tc.plain {
				for k := range n {
					publish(k)
					want = append(want, strconv.Itoa(k))
				}
			}
			if tc.durable {
				durables = n
				if tc.plain {
					durables = n / 2
				}
			}
			before := []message.Position{unused, {}}
			for _, e := range r.wait(t, "c", len(want))[1:] {
				before = append(before, e.msg.ID)
			}
			r2.wait(t, "c", len(want))
			if had := forget(t, b, "c"); had != durables {
				t.Errorf("%d messages are forgotten, want %d", had, durables)
			}
			if had := forget(t, b, "c"); had != 0 {
				t.Errorf("%d messages are forgotten again", had)
			}
			if tc.durable || tc.plain {
				publish(n)
				want = append(want, strconv.Itoa(n))
			} else {
				server.publish("c", "0")
				want = append(want, "0")
			}
			after := r.wait(t, "c", len(want))[len(want)-1].msg.ID
			r2.wait(t, "c", len(want))
			if got := r.texts("c"); !slices.Equal(got, want) {
				t.Errorf("who listens has heard %v", got)
			}
			for node, b := range map[string]*Broker{"here": b, "elsewhere": other} {
				r := map[string]*recorder{"here": r, "elsewhere": r2}[node]
				last := want[len(want)-1:]
				if a := r.newest(t, b, "c", 100); a.Gap != nil || !slices.Equal(payloads(a.Messages), last) {
					t.Errorf("%s: the newest are %v, gap %v", node, payloads(a.Messages), a.Gap)
				}
				for _, p := range before {
					a := r.replay(t, b, "c", p)
					if a.Gap == nil || a.Gap.Reason != GapHistory || !slices.Equal(payloads(a.Messages), last) {
						t.Errorf("%s: since %s: %v, gap %v", node, p, payloads(a.Messages), a.Gap)
					}
				}
				if after.Durable() || after.Node == b.Node() {
					if a := r.replay(t, b, "c", after); a.Gap != nil || len(a.Messages) > 0 {
						t.Errorf("%s: since %s: %v, gap %v", node, after, payloads(a.Messages), a.Gap)
					}
				}
			}
		})
	}
}

// A subscription after the forgetting has a position that is good everywhere, also after a
// restart of the gateway, and one from before gets the gap then too.
func TestForgetOutlivesTheGateway(t *testing.T) {
	server := startRedis(t)
	b, stop := startBroker(t, testConfig(server.URL()), "node1")
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	old := server.publishDurable("c", "old", 1000)
	forget(t, b, "c")
	r.heardOf(t, server, "c")
	stop()

	b = runBroker(t, testConfig(server.URL()))
	r = newRecorder()
	join(b, "c", r)
	since := r.wait(t, "c", 1)[0].joined.Position
	if !since.Durable() {
		t.Errorf("a channel that was forgotten begins at %s", since)
	}
	server.publishDurable("c", "new", 1000)
	r.wait(t, "c", 2)
	if a := r.replay(t, b, "c", since); a.Gap != nil || !slices.Equal(payloads(a.Messages), []string{"new"}) {
		t.Errorf("since %s: %v, gap %v", since, payloads(a.Messages), a.Gap)
	}
	for _, p := range []string{old, "0-0"} {
		if a := r.replay(t, b, "c", mustPosition(t, p)); a.Gap == nil || !slices.Equal(payloads(a.Messages), []string{"new"}) {
			t.Errorf("since %s: %v, gap %v", p, payloads(a.Messages), a.Gap)
		}
	}
}

// Ids go on above those that are forgotten, also within a millisecond: no new message is taken
// for an old one.
func TestForgetKeepsIdsRising(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	pipe := server.Client.Pipeline()
	const n = 50
	for k := range n {
		publishScript.Eval(t.Context(), pipe, []string{"{push:c}:log"}, "push:c", k, 100, 60)
		forgetScript.Eval(t.Context(), pipe, []string{"{push:c}:log"}, "push:c")
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(t, "c", n+1); len(got) != n+1 {
		t.Errorf("%d messages came of %d", len(got)-1, n)
	}
	if ttl := server.Do("TTL", "{push:c}:log").(int64); ttl < 1 || ttl > 60 {
		t.Errorf("the stream is kept for %d s", ttl)
	}
}

// A read of the stream that is under way doesn't bring forgotten messages back.
func TestForgetAmidReplays(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Ring.Messages = 4
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	for round := range 30 {
		for k := range 20 {
			server.publishDurable("c", fmt.Sprintf("%d.%d", round, k), 1000)
		}
		stop := make(chan struct{})
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			for {
				done := make(chan struct{})
				b.ReplayNewest("c", 15, func(Replay) { close(done) })
				<-done
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		forget(t, b, "c")
		r.heardOf(t, server, "c")
		for _, text := range payloads(r.newest(t, b, "c", 15).Messages) {
			if text != "sync" {
				t.Fatalf("round %d: %s is not forgotten", round, text)
			}
		}
		close(stop)
		<-asked
		if a := r.newest(t, b, "c", 15); slices.ContainsFunc(payloads(a.Messages), func(s string) bool { return s != "sync" }) {
			t.Fatalf("round %d: %v is not forgotten", round, payloads(a.Messages))
		}
	}
}

func TestForgetOnACluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	b := runBroker(t, testConfig(cluster.URL()))
	for k := range 5 {
		channel := "c" + strconv.Itoa(k)
		r := newRecorder()
		join(b, channel, r)
		r.wait(t, channel, 1)
		var first string
		for n := range 3 {
			id, err := b.Publish(context.Background(), channel, []byte(strconv.Itoa(n)), PublishOptions{Durable: true})
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				first = id
			}
		}
		if had := forget(t, b, channel); had != 3 {
			t.Errorf("%d messages are forgotten, want 3", had)
		}
		if _, err := b.Publish(context.Background(), channel, []byte("new"), PublishOptions{Durable: true}); err != nil {
			t.Fatal(err)
		}
		r.wait(t, channel, 5)
		if a := r.newest(t, b, channel, 10); !slices.Equal(payloads(a.Messages), []string{"new"}) || a.Gap != nil {
			t.Errorf("the newest are %v, gap %v", payloads(a.Messages), a.Gap)
		}
		if a := r.replay(t, b, channel, mustPosition(t, first)); a.Gap == nil {
			t.Error("a position from before is honoured")
		}
	}
}
