package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
)

func TestDurableMessagesCarryTheirID(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	id := server.publishDurable("news", "\x1e binary \x00\xff", 100)
	e := r.wait(t, "news", 2)[1]
	if e.msg.ID.String() != id || e.text != "\x1e binary \x00\xff" || e.msg.Seq != 1 {
		t.Fatalf("got %q id %s seq %d, want id %s", e.text, e.msg.ID, e.msg.Seq, id)
	}
	// The same message again, as a resent or doubled publish would bring it.
	server.publish("news", "\x1e"+id+"\x1eagain")
	server.publish("news", "plain")
	r.wait(t, "news", 3)
	if got := r.texts("news")[2]; got != "plain" {
		t.Fatalf("a duplicate was delivered: %q", got)
	}
	if s := b.Stats(); s.Duplicates != 1 || s.Durable != 1 || s.Messages != 2 {
		t.Errorf("stats: %+v", s)
	}
}

func TestJoinedTellsTheEndOfTheStream(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	server.publishDurable("news", "one", 100)
	id := server.publishDurable("news", "two", 100)
	join(b, "news", r)
	if j := r.wait(t, "news", 1)[0].joined; j.Position.String() != id || j.Seq != 0 {
		t.Fatalf("joined at %s seq %d, want %s seq 0", j.Position, j.Seq, id)
	}
}

// A subscriber that joins while messages are published gets exactly the ones after the position
// in Joined.
func TestJoinAmongDurableMessages(t *testing.T) {
	const messages = 400
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	waitReady(t, b)
	ids := make([]string, messages)
	recorders := make([]*recorder, 0, 20)
	for i := range messages {
		ids[i] = server.publishDurable("news", strconv.Itoa(i), 10_000)
		if i%20 == 10 {
			r := newRecorder()
			recorders = append(recorders, r)
			join(b, "news", r)
		}
	}
	for _, r := range recorders {
		eventually(t, "the last message", func() bool {
			got := r.of("news")
			return len(got) > 0 && got[len(got)-1].text == strconv.Itoa(messages-1)
		})
		got := r.of("news")
		from := slices.Index(ids, got[0].joined.Position.String()) + 1
		if from == 0 {
			t.Fatalf("joined at %s", got[0].joined.Position)
		}
		for i, e := range got[1:] {
			if e.msg.ID.String() != ids[from+i] {
				t.Fatalf("message %d after joining at %d is %s, want %s", i, from, e.msg.ID, ids[from+i])
			}
		}
	}
}

func TestOutageOfADurableChannel(t *testing.T) {
	tests := map[string]struct {
		before, during int
		plain          bool // a plain message before
		meanwhile      func(s *redisServer)
		gap            GapReason // "": none
		missing        int       // of the messages during
	}{
		"a few messages":                {before: 3, during: 5},
		"exactly one page":              {before: 1, during: firstPageEntries},
		"many pages":                    {before: 1, during: 2*pageEntries + 7},
		"nothing happened":              {before: 2},
		"the stream was made meanwhile": {during: 40},
		"plain messages too":            {before: 1, during: 3, plain: true, gap: GapBroker},
		"trimmed past the last": {before: 3, during: 10, gap: GapHistory, missing: 6,
			meanwhile: func(s *redisServer) { s.Do("XTRIM", "{push:c}:log", "MAXLEN", 4) }},
		"new and trimmed": {during: 10, gap: GapHistory, missing: 6,
			meanwhile: func(s *redisServer) { s.Do("XTRIM", "{push:c}:log", "MAXLEN", 4) }},
		"trimmed, but not past the last": {before: 9, during: 3,
			meanwhile: func(s *redisServer) { s.Do("XTRIM", "{push:c}:log", "MAXLEN", 4) }},
		"lost its end": {before: 3, gap: GapHistory, meanwhile: func(s *redisServer) {
			last := s.Client.XRevRangeN(context.Background(), "{push:c}:log", "+", "-", 1).Val()
			s.Do("XDEL", "{push:c}:log", last[0].ID)
		}},
		"emptied": {before: 3, gap: GapHistory, meanwhile: func(s *redisServer) { s.Do("FLUSHALL") }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := startRedis(t)
			p := startProxy(t, server.Addr)
			c := testConfig(p.url())
			c.ReplayMessages = 10_000
			b := runBroker(t, c)
			r := newRecorder()
			join(b, "c", r)
			r.wait(t, "c", 1)
			want := []string{"joined"}
			if test.plain {
				server.publish("c", "plain")
				want = append(want, "plain")
			}
			for i := range test.before {
				server.publishDurable("c", fmt.Sprintf("before %d", i), 10_000)
				want = append(want, fmt.Sprintf("before %d", i))
			}
			r.wait(t, "c", len(want))
			var last message.Position
			if test.before > 0 {
				last = r.of("c")[len(want)-1].msg.ID
			}

			waitReady(t, b)
			p.part()
			waitNotReady(t, b)
			for i := range test.during {
				server.publishDurable("c", fmt.Sprintf("during %d", i), 10_000)
			}
			if test.meanwhile != nil {
				test.meanwhile(server)
			}
			p.join()
			waitReady(t, b)
			server.publishDurable("c", "after", 10_000)

			if test.gap != "" {
				want = append(want, "gap:"+test.gap)
			}
			for i := test.missing; i < test.during; i++ {
				want = append(want, fmt.Sprintf("during %d", i))
			}
			want = append(want, "after")
			r.wait(t, "c", len(want))
			if got := r.texts("c"); !slices.Equal(got, want) {
				t.Fatalf("got  %v\nwant %v", got, want)
			}
			if test.before == 0 {
				return
			}
			a := r.replay(t, b, "c", last)
			if got := payloads(a.Messages); !slices.Equal(got, want[len(want)-1-test.during+test.missing:]) {
				t.Errorf("replay over the outage: %v", got)
			}
			if (a.Gap != nil) != (test.gap != "") {
				t.Errorf("replay over the outage: gap %+v, want %q", a.Gap, test.gap)
			}
		})
	}
}

// Exactly once through crashes of the server, as the publisher and the
// subscriber of a persistent Redis see it.
func TestExactlyOnceAcrossKills(t *testing.T) {
	const messages, kills = 600, 4
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "ledger", r)
	r.wait(t, "ledger", 1)

	published := make(chan int)
	ctx, cancel := context.WithTimeout(context.Background(), 2*testDeadline)
	defer cancel()
	go func() {
		defer close(published)
		for i := range messages {
			o := PublishOptions{Durable: true, MaxLen: 10_000, IdempotencyKey: strconv.Itoa(i)}
			for ctx.Err() == nil {
				if _, err := b.Publish(ctx, "ledger", []byte(strconv.Itoa(i)), o); err == nil {
					break
				}
				time.Sleep(time.Millisecond) // the server is away: not to spin
			}
			published <- i
		}
	}()
	for i := range published {
		if i%(messages/(kills+1)) == messages/(kills+1)-1 && i < messages-2 {
			server.Kill()
			server.Start()
		}
	}
	if ctx.Err() != nil {
		t.Fatal("publishing took too long")
	}
	eventually(t, "the last message", func() bool {
		got := r.of("ledger")
		return got[len(got)-1].text == strconv.Itoa(messages-1)
	})
	got := r.of("ledger")[1:]
	if len(got) != messages {
		t.Errorf("%d events, want %d", len(got), messages)
	}
	for i, e := range got {
		if e.text != strconv.Itoa(i) {
			t.Fatalf("event %d is %q", i, e.text)
		}
		if i > 0 && !got[i-1].msg.ID.Less(e.msg.ID) {
			t.Fatalf("event %d has id %s after %s", i, e.msg.ID, got[i-1].msg.ID)
		}
	}
	if n := b.Stats().Reconnects; n < kills {
		t.Errorf("%d reconnects through %d kills: the test did not test", n, kills)
	}
}

func TestPublish(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	ctx := context.Background()
	if id, err := b.Publish(ctx, "news", []byte("plain"), PublishOptions{}); err != nil || id != "" {
		t.Fatalf("plain: %q, %v", id, err)
	}
	o := PublishOptions{Durable: true, IdempotencyKey: "k", TTL: time.Minute, IdempotencyTTL: 90 * time.Second}
	id, err := b.Publish(ctx, "news", []byte("durable"), o)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Publish(ctx, "news", []byte("durable"), o); err != nil || again != id {
		t.Fatalf("repeated: %q, %v, want %q", again, err, id)
	}
	if _, err := b.Publish(ctx, "news", []byte("last"), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "news", 4)
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "plain", "durable", "last"}) {
		t.Fatalf("got %v", got)
	}
	if ttl := server.Do("TTL", "{push:news}:log").(int64); ttl < 50 || ttl > 60 {
		t.Errorf("the stream lives for %d s, want 60", ttl)
	}
	if ttl := server.Do("TTL", "{push:news}:once:k").(int64); ttl < 80 || ttl > 90 {
		t.Errorf("the key is remembered for %d s, want 90", ttl)
	}
	if _, err := b.Publish(ctx, "news", []byte("\x1e9-9\x1ex"), PublishOptions{}); err == nil {
		t.Error("a plain payload in the form of a durable message was published")
	}
	if _, err := b.Publish(ctx, "no such\nname", nil, PublishOptions{}); err == nil {
		t.Error("a bad channel name was published to")
	}
	for range 500 {
		if _, err := b.Publish(ctx, "news", []byte("x"), PublishOptions{Durable: true, MaxLen: 10}); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.Do("XLEN", "{push:news}:log").(int64); n > 250 {
		t.Errorf("%d entries in a stream of about 10", n)
	}
}
