package loadgen

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/pushgate/pushgate/internal/redistest"
)

// What Redis refused, or was never given, no client can miss; what it did not
// answer for counts if it comes.
func TestFates(t *testing.T) {
	const n = 12 // the message that something happens to
	tests := map[string]struct {
		mishap  fate
		lost    bool
		unknown uint64 // deliveries
		extra   uint64 // expected deliveries beside those of the published
	}{
		"refused":           {fateRefused, true, 0, 0},
		"never sent":        {fateUnsent, true, 0, 0},
		"no answer, gone":   {fateUnknown, true, 4, 0},
		"no answer, it had": {fateUnknown, false, 0, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScripted()
			s.mishap = func(k int) (fate, bool) {
				if k == n {
					return tt.mishap, tt.lost
				}
				return fateTaken, false
			}
			c := s.start(t, 4, 2000)
			c.Rate = 200
			f := mustFanout(t, s, c)
			x := f.Fanout
			if x.Asked != 2000 || x.Published+x.Skipped+x.NotSent+x.Refused+x.FateUnknown != 2000 || x.NotSent < 1900 || x.Refused+x.FateUnknown > 1 {
				t.Errorf("slots %+v", x)
			}
			if x.Missing != 0 || x.Incomplete != 0 || x.UnknownMissing != tt.unknown || x.Expected != 4*uint64(x.Published)+tt.extra || x.Delivered != x.Expected || f.Good() {
				t.Errorf("%+v: %q", x, f.Failed)
			}
		})
	}
}

// A publisher that is stuck when the time is up has left slots out: they are
// skipped, and as late as they were by then.
func TestSkippedAtTheEnd(t *testing.T) {
	s := newScripted()
	c := s.start(t, 2, 1)
	c.Stages, c.Rate, c.MaxLate = "->2, hold 200ms", 100, 100*time.Millisecond
	p := &hangs{scripted: s, at: 5, d: 600 * time.Millisecond}
	r, err := fanout(t.Context(), c, Options{}, p)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Fanout
	if f.Asked < 20 || f.Skipped < 10 || f.Published+f.Skipped != f.Asked || f.Missing != 0 {
		t.Errorf("%+v", f)
	}
	if f.Due.Count != int64(f.Delivered)+2*int64(f.Skipped) || f.Due.Max < int64(300*time.Millisecond) {
		t.Errorf("%d latencies of %d deliveries and %d skipped messages, up to %v", f.Due.Count, f.Delivered, f.Skipped, time.Duration(f.Due.Max))
	}
}

// Redis itself: an error reply, and one that is gone.
func TestFatesOfRedis(t *testing.T) {
	for _, durable := range []bool{false, true} {
		m := miniredis.RunT(t)
		c := DefaultConfig()
		c.Redis, c.Durable = "redis://"+m.Addr(), durable
		p, err := newRedisPublisher(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		batch := []publication{{"a", []byte("one")}, {"a", []byte("two")}}
		m.SetError("OOM command not allowed")
		for _, tt := range []struct {
			want fate
			text string
		}{{fateRefused, "OOM"}, {fateUnsent, "refused"}} {
			fates, err := p.publish(t.Context(), batch)
			if len(fates) != 2 || fates[0] != tt.want || fates[1] != tt.want || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("durable %v: fates %v, want %v; %v", durable, fates, tt.want, err)
			}
			m.Close()
		}
	}
}

// A Redis that lets no new connection in, as for a password that was changed, has
// taken nothing.
func TestFatesOfARefusedConnection(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "loadgen", "on", ">pw", "~*", "&*", "+@all")
	for _, durable := range []bool{false, true} {
		c := DefaultConfig()
		c.Redis, c.Durable = "redis://loadgen:pw@"+server.Addr, durable
		p, err := newRedisPublisher(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		server.Do("ACL", "SETUSER", "loadgen", "resetpass", ">other")
		server.Do("CLIENT", "KILL", "USER", "loadgen")
		fates, err := p.publish(t.Context(), []publication{{"a", []byte("one")}, {"a", []byte("two")}})
		if len(fates) != 2 || fates[0] != fateRefused || fates[1] != fateRefused || err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("durable %v: fates %v, %v", durable, fates, err)
		}
		server.Do("ACL", "SETUSER", "loadgen", ">pw")
	}
}
