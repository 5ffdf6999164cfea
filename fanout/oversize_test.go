package fanout

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A message over the limit is a gap for subscribers and for replays from before it, whether the
// node has received it or not, and nothing for replays from behind it.
func TestOversizeMessages(t *testing.T) {
	large := strings.Repeat("x", 101)
	for _, ring := range []int{1, 128} {
		t.Run(fmt.Sprintf("ring of %d", ring), func(t *testing.T) {
			server := startRedis(t)
			c := testConfig(server.URL())
			c.Ring.Messages = ring
			c.Connections = 1
			var log bytes.Buffer
			b, stop := startBrokerLogging(t, c, "node1", slog.New(slog.NewTextHandler(&log, nil)))
			t.Cleanup(stop)
			b.LimitPayload(100)
			r := newRecorder()
			join(b, "c", r)
			r.wait(t, "c", 1)
			all := []string{"1", "2", large, "3", large, large, "4", "5"}
			var ids []string
			for _, p := range all {
				ids = append(ids, server.publishDurable("c", p, 100))
			}
			server.publish("c", "plain")
			server.publish("c", large)
			server.publish("c", "6")
			r.wait(t, "c", 12)
			want := []string{"joined", "1", "2", "gap:too_large", "3", "gap:too_large", "gap:too_large", "4", "5", "plain", "gap:too_large", "6"}
			if got := r.texts("c"); !slices.Equal(got, want) {
				t.Fatalf("got %v", got)
			}
			if n := b.Stats().TooLarge; n != 4 {
				t.Errorf("%d are counted", n)
			}
			if g := r.of("c")[3].gap; g.Since.String() != ids[1] {
				t.Errorf("the gap is since %v, want %s", g.Since, ids[1])
			}
			stop()
			if !strings.Contains(log.String(), "limits.payload_bytes") {
				t.Errorf("logged is %s", log.String())
			}

			// Another node, which has received nothing, reads the same history.
			fresh, stopFresh := startBroker(t, c, "node2")
			t.Cleanup(stopFresh)
			fresh.LimitPayload(100)
			for round := range 2 {
				for i, rest := range [][]string{{"2", "3", "4", "5"}, {"3", "4", "5"}, {"3", "4", "5"}, {"4", "5"}, {"4", "5"}, {"4", "5"}, {"5"}, {}} {
					a := r.replay(t, fresh, "c", mustPosition(t, ids[i]))
					if got := payloads(a.Messages); !slices.Equal(got, rest) || (a.Gap != nil) != (i < 5) {
						t.Errorf("round %d, after %d: gap %v, got %v, want %v", round, i, a.Gap, got, rest)
					}
				}
			}
			// Where it is let through, it is there.
			fresh.LimitPayload(0)
			if a := r.replay(t, fresh, "c", mustPosition(t, ids[1])); !slices.Equal(payloads(a.Messages), all[2:]) || a.Gap != nil {
				t.Errorf("without a limit: gap %v, got %v", a.Gap, payloads(a.Messages))
			}
		})
	}
}

// However many pass by, there is a line a second, which counts those before it.
func TestOversizeMessagesAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var o oversize
		for k := range 5 {
			o.note(slog.New(slog.NewTextHandler(&log, nil)), "c", 101)
			if k == 2 {
				time.Sleep(time.Second)
			}
		}
		if got := log.String(); strings.Count(got, "channel=c bytes=101") != 2 || strings.Count(got, "repeated=2") != 1 || o.passed.Load() != 5 {
			t.Errorf("%d are counted, logged is\n%s", o.passed.Load(), got)
		}
	})
}

// Replays on the node that passed over a message, from before it and from behind it.
func TestOversizeMessageOnItsNode(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	b.LimitPayload(100)
	r := newRecorder()
	join(b, "c", r)
	r.wait(t, "c", 1)
	var ids []string
	for _, p := range []string{"1", strings.Repeat("x", 101), "2"} {
		ids = append(ids, server.publishDurable("c", p, 100))
	}
	r.wait(t, "c", 4)
	for i, gap := range []bool{true, false, false} {
		a := r.replay(t, b, "c", mustPosition(t, ids[i]))
		if got, want := payloads(a.Messages), []string{"2"}[min(i/2, 1):]; !slices.Equal(got, want) || (a.Gap != nil) != gap {
			t.Errorf("after %d: gap %v, got %v, want %v", i, a.Gap, got, want)
		}
	}
	if got := b.Since("c", 0); got.Complete || !slices.Equal(payloads(got.Messages), []string{"2"}) {
		t.Errorf("a poll from the start: complete %v, %v", got.Complete, payloads(got.Messages))
	}
	if got := b.Since("c", 2); !got.Complete || !slices.Equal(payloads(got.Messages), []string{"2"}) {
		t.Errorf("a poll from behind it: complete %v, %v", got.Complete, payloads(got.Messages))
	}
}
