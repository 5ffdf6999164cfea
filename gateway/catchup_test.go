package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/configs"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/redistest"
)

// durable publishes numbers to a channel by the script, in one go, and returns
// their ids.
func durable(t testing.TB, server *redistest.Server, channel string, from, to int) (ids []string) {
	t.Helper()
	var results []*redis.Cmd
	_, err := server.Client.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
		for n := from; n < to; n++ {
			results = append(results, pipe.Eval(context.Background(), configs.Publish,
				[]string{"{push:" + channel + "}:log"}, "push:"+channel, n, 0, 3600))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		ids = append(ids, r.Val().(string))
	}
	return ids
}

// entry adds an entry to the stream of a channel without subscribers, as if it had been published
// at another time.
func entry(t testing.TB, server *redistest.Server, channel, id string, data any) {
	t.Helper()
	if err := server.Client.Do(context.Background(), "XADD", "{push:"+channel+"}:log", id, "data", data).Err(); err != nil {
		t.Fatal(err)
	}
}

// ago returns the id of a durable message of some time ago.
func ago(d time.Duration) string { return fmt.Sprintf("%d-0", time.Now().Add(-d).UnixMilli()) }

// A browser's EventSource reconnects to its original URL, cursor included, with its latest position
// in a header.
func TestEventSourceComesBack(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	ids := durable(t, in.redis, "c", 0, 10)
	path := "/v1/sse?channels=c&cursor=" + ids[2]
	s := in.events(path, ids[7])
	s.expect("subscribed")
	if e, _ := s.expect("message"); e.id != ids[8] {
		t.Errorf("came back to %s, want %s; all are %v", e.id, ids[8], ids)
	}
}

// A stream of several channels may be cut while some of them are still catching up. Its last id
// must not hide the pending messages of the others.
func TestEventsCutWhileCatchingUp(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	channels := []string{"early", "late", "now"}
	all := map[string]bool{}
	for i, channel := range channels {
		entry(t, in.redis, channel, ago(time.Hour), -1)
		for n := range 10 {
			entry(t, in.redis, channel, ago(time.Duration(1200-i*400-n)*time.Second), n)
			all[fmt.Sprint(channel, n)] = true
		}
	}
	path := "/v1/sse?channels=" + strings.Join(channels, ",")
	begin := ago(30 * time.Minute)
	for cut := range len(all) + 4 {
		got, last := map[string]bool{}, begin
		for _, left := range []int{cut, 1 << 30} {
			s := in.events(path, last)
			stop := time.AfterFunc(patience, func() { s.resp.Body.Close() })
			for ; left > 0 && len(got) < len(all); left-- {
				id, e, err := readEvent(s.r)
				if err != nil {
					t.Fatalf("cut after %d events, came back with %s: %d of %d messages, %v", cut, last, len(got), len(all), err)
				}
				if id != "" {
					last = id
				}
				switch e.Type {
				case "message":
					got[e.Channel+string(e.Data)] = true
				case "gap":
					t.Fatalf("cut after %d events: %+v", cut, e)
				}
			}
			stop.Stop()
			s.resp.Body.Close()
		}
	}
	// At the end the id is the last message's.
	s := in.events(path, begin)
	for {
		if id, _ := s.event(); id != "" {
			e, v := in.events(path, id).expect("subscribed")
			if e.id != "" || v.Channel == "" {
				t.Errorf("came back with %s: %+v", id, e)
			}
			break
		}
	}
}

// The id of one channel's message is a time for the others. It is no position
// from the future for one that has been quiet since.
func TestEventsOfAQuietChannel(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	entry(t, in.redis, "quiet", ago(time.Hour), 1)
	entry(t, in.redis, "busy", ago(time.Hour), 1)
	for _, kept := range []string{"read from the stream", "kept in memory"} {
		last := durable(t, in.redis, "busy", 0, 1)[0]
		s := in.events("/v1/sse?channels=busy,quiet", last)
		durable(t, in.redis, "quiet", 2, 3)
		for {
			_, e := s.event()
			if e.Type == "gap" || e.Channel == "quiet" && string(e.Data) == "1" {
				t.Fatalf("%s: got %+v", kept, e)
			}
			if e.Channel == "quiet" && e.Type == "message" {
				break
			}
		}
		s.resp.Body.Close()
	}
}

// A waiting poll is woken by more at once than its channel's ring holds.
func TestPollOverrunByABurst(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	durable(t, in.redis, "c", 0, 1)
	durable(t, in.redis, "d", 0, 1)
	cursor := in.poll(nil, "channels=c,d&wait=0").Cursor
	const messages = 1000
	for range 2 {
		got := in.pollMeanwhile("channels=c,d&wait=10&cursor=" + cursor)
		eventually(t, "the poll waits", func() bool { return in.metric(`gateway_clients{transport="poll"}`) == 1 })
		durable(t, in.redis, "c", 0, messages)
		durable(t, in.redis, "d", 0, messages)
		p := (<-got)()
		next := map[string]int{}
		for {
			for _, m := range events(t, p) {
				if string(m.Data) != fmt.Sprint(next[m.Channel]) {
					t.Fatalf("%s: got %s in place of %d", m.Channel, m.Data, next[m.Channel])
				}
				next[m.Channel]++
			}
			if len(p.Gaps) > 0 {
				t.Fatalf("gaps %v at %v", p.Gaps, next)
			}
			cursor = p.Cursor
			if next["c"]+next["d"] == 2*messages {
				break
			}
			p = in.poll(nil, "channels=c,d&max=1000&wait=10&cursor="+cursor)
		}
	}
}

// A shard reuses a channel's number for another one later.
func TestPollsOfOneChannelAfterTheOther(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	in.poll(nil, "channels=first&wait=1")
	p := in.poll(nil, "channels=second&wait=1")
	in.redis.Publish("second", "1")
	if p = in.poll(nil, "channels=second&wait=10&cursor="+url.QueryEscape(p.Cursor)); fmt.Sprint(p.data(t)) != "[1]" {
		t.Errorf("got %+v", p)
	}
}

// A poll without a wait still needs a position to resume from.
func TestPollWhileRedisIsSlow(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	in.redis.Signal(syscall.SIGSTOP)
	got := in.pollMeanwhile("channels=c&wait=0")
	select {
	case p := <-got:
		t.Fatalf("answered with no position: %+v", p())
	case <-time.After(400 * time.Millisecond):
	}
	in.redis.Signal(syscall.SIGCONT)
	p := (<-got)()
	in.redis.Publish("c", "1")
	if p = in.poll(nil, "channels=c&wait=10&cursor="+url.QueryEscape(p.Cursor)); fmt.Sprint(p.data(t)) != "[1]" {
		t.Errorf("got %+v", p)
	}
	in.redis.Kill()
	in.unready()
	in.redis.Start()
	in.redis.Signal(syscall.SIGSTOP)
	defer in.redis.Signal(syscall.SIGCONT)
	if p := in.poll(nil, "channels=never&wait=0"); fmt.Sprint(p.Gaps) != "[never]" {
		t.Errorf("answered with no position: %+v", p)
	}
}

// events returns the messages of a response.
func events(t testing.TB, p polled) (list []event) {
	t.Helper()
	for _, m := range p.Messages {
		_, e, err := readEvent(bufio.NewReader(strings.NewReader("data: " + string(m) + "\n\n")))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}
