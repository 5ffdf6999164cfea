package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/auth"
)

// onLoop calls fn on the loop of the gateway's only shard. What it says of one of
// several would be true of that one alone.
func (in *instance) onLoop(fn func(*shard) bool) bool {
	in.t.Helper()
	if n := len(in.shards); n != 1 {
		in.t.Fatalf("the gateway has %d shards", n)
	}
	done := make(chan bool, 1)
	in.shards[0].post(func() { done <- fn(in.shards[0]) })
	return <-done
}

// parked makes a poll and returns when it is left to wait.
func (in *instance) parked(query string) <-chan func() polled {
	in.t.Helper()
	answer := in.pollMeanwhile(query)
	eventually(in.t, "the poll waits", func() bool {
		return in.onLoop(func(s *shard) bool { _, c := s.onlyPoll(); return c != nil && c.poll == 0 })
	})
	return answer
}

// onlyPoll returns the connection of a shard's only poll, nil when there is none.
func (s *shard) onlyPoll() (uint32, *conn) {
	for i := uint32(1); i < s.conns.next; i++ {
		if c := s.conns.at(i); c.phase == phaseOpen && c.kind == kindPoll {
			return i, c
		}
	}
	return 0, nil
}

// burst is more messages than a ring holds.
const burst = 1000

// overrun publishes a burst and returns when the broker has it, whether or not
// the loop runs.
func (in *instance) overrun(channel string) {
	in.t.Helper()
	want := in.broker.Stats().Messages + burst
	durable(in.t, in.redis, channel, 0, burst)
	eventually(in.t, "the broker has the burst", func() bool { return in.broker.Stats().Messages == want })
}

// A poll that knows where it is in one channel may have to wait for the next
// message of another to know it there too. It must not forget the first meanwhile.
// Nor is it sent away without it.
func TestPollOverrunInOneChannelAfterTheOther(t *testing.T) {
	for name, meanwhile := range map[string]func(*shard){
		"nothing": func(*shard) {},
		"is sent away": func(s *shard) {
			i, c := s.onlyPoll()
			s.sendAway(i, c, CloseRebalance)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				if overrunOneAfterTheOther(t, meanwhile) {
					return
				}
			}
			t.Error("never met the moment between two bursts")
		})
	}
}

func overrunOneAfterTheOther(t *testing.T, meanwhile func(*shard)) (met bool) {
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	cursor := in.poll(nil, "channels=c,d&wait=0").Cursor
	answer := in.parked("channels=c,d&wait=10&cursor=" + cursor)

	// The loop is held from the first burst until the poll's delay is over and the second
	// has come in: the poll is ready then, and the burst isn't handed over yet.
	reached, release := make(chan bool, 1), make(chan struct{})
	defer close(release)
	var look func()
	look = func() {
		s := in.shards[0]
		if _, c := s.onlyPoll(); c == nil {
			reached <- false // it was answered before anybody looked
		} else if len(s.answers.woken) > 0 {
			reached <- true
			<-release
			time.Sleep(4 * coalesce)
			meanwhile(s)
		} else {
			s.post(look)
		}
	}
	in.shards[0].post(look)
	in.overrun("c")
	if !<-reached {
		return false
	}
	in.overrun("d")
	release <- struct{}{}

	p := (<-answer)()
	if len(p.Gaps) > 0 || !p.More {
		t.Errorf("got %d messages, gaps %v, more: %v", len(p.Messages), p.Gaps, p.More)
	}
	for next := map[string]int{}; next["c"]+next["d"] < 2*burst; {
		for _, m := range events(t, p) {
			if string(m.Data) != fmt.Sprint(next[m.Channel]) {
				t.Fatalf("%s: got %s in place of %d", m.Channel, m.Data, next[m.Channel])
			}
			next[m.Channel]++
		}
		p = in.poll(nil, "channels=c,d&max=1000&wait=0&cursor="+p.Cursor)
		if len(p.Gaps) > 0 || p.status == 204 && next["c"]+next["d"] < 2*burst {
			t.Fatalf("at %v: gaps %v, status %d", next, p.Gaps, p.status)
		}
	}
	return true
}

// The message that would tell a poll where it is may have been dropped. Then it
// hears of a gap.
func TestPollThatNeverKnowsWhereItIs(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*instance){
		"woken": func(in *instance) { in.redis.Publish("c", "1") },
		"sent away, then woken": func(in *instance) {
			release := make(chan struct{})
			defer close(release)
			in.shards[0].post(func() {
				<-release
				i, c := in.shards[0].onlyPoll()
				in.shards[0].sendAway(i, c, CloseRebalance)
			})
			want := in.broker.Stats().Messages + 1
			in.redis.Publish("c", "1")
			eventually(in.t, "the broker has the message", func() bool { return in.broker.Stats().Messages == want })
		},
	} {
		t.Run(name, func(t *testing.T) { neverKnowsWhereItIs(t, end) })
	}
}

func neverKnowsWhereItIs(t *testing.T, end func(*instance)) {
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	in.poll(nil, "channels=c,d&wait=0")
	in.overrun("d")
	answer := in.parked("channels=c,d&wait=10")
	in.leaveBehind("d")
	begin := time.Now()
	end(in)
	if p := (<-answer)(); fmt.Sprint(p.Gaps) != "[d]" {
		t.Errorf("gaps %v", p.Gaps)
	}
	if took := time.Since(begin); took > earlyPatience*tick+2*time.Second {
		t.Errorf("answered after %v", took)
	}
}

// leaveBehind makes a poll of a channel whose next message it has missed, so that
// its ring doesn't reach back to where it is.
func (in *instance) leaveBehind(channel string) {
	in.onLoop(func(s *shard) bool {
		_, c := s.onlyPoll()
		s.index.Each(c.subs, func(sub index.Sub, ch index.Channel) {
			if s.index.Name(ch) == channel {
				s.index.SetFrom(sub, s.index.From(sub)-burst)
			}
		})
		return true
	})
}

// Its age ends no poll that waits to know where it is, nor does it make it wait
// for ever.
func TestPollThatNeverKnowsWhereItIsGrowsOld(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *Config) { c.Shards = 1; c.Drain.MaxAge = 3 * time.Second }).ready()
	in.poll(nil, "channels=c,d&wait=0")
	in.overrun("d")
	answer := in.parked("channels=c,d&wait=10")
	in.leaveBehind("d")
	time.Sleep(1500 * time.Millisecond) // the patience ends behind the age
	in.redis.Publish("c", "1")
	if p := (<-answer)(); fmt.Sprint(p.Gaps) != "[d]" {
		t.Errorf("gaps %v", p.Gaps)
	}
}

// A token that ends while a burst is handed over costs its poll nothing: all of
// the burst is in the stream.
func TestTokenEndsWhileThePollIsOverrun(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *Config) { withTokens(c); c.Shards = 1 }).ready()
	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	good := "&token=" + token(t, auth.Claims{Subject: "ann", Subscribe: []string{"**"}, Expires: end})
	cursor := in.poll(nil, "channels=c&wait=0"+good).Cursor
	answer := in.parked("channels=c&wait=20&cursor=" + cursor + good)
	held, release := make(chan bool), make(chan bool)
	in.shards[0].post(func() {
		held <- true
		<-release
		in.shards[0].now = in.tickOf(time.Now()) // as a beat before the burst would
	})
	<-held
	time.Sleep(time.Until(end.Add(300 * time.Millisecond)))
	in.overrun("c")
	release <- true
	if p := (<-answer)(); len(p.Gaps) > 0 {
		t.Errorf("gaps %v, %d messages", p.Gaps, len(p.Messages))
	}
}

// A poll that is ended while its answer is about to be sent gets one answer.
func TestWokenPollIsEnded(t *testing.T) {
	for name, end := range map[string]func(*shard, uint32, *conn){
		"by the operator": func(s *shard, i uint32, c *conn) { s.dismiss(i, c, 0) },
		"sent away":       func(s *shard, i uint32, c *conn) { s.sendAway(i, c, CloseRebalance) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				if wokenPollIsEnded(t, end) {
					return
				}
			}
			t.Error("never met a poll between its message and its answer")
		})
	}
}

func wokenPollIsEnded(t *testing.T, end func(*shard, uint32, *conn)) (met bool) {
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	answer := in.parked("channels=c&wait=10")
	ended := make(chan bool, 1)
	var look func()
	look = func() {
		s := in.shards[0]
		switch i, c := s.onlyPoll(); {
		case c == nil:
			ended <- false // it was answered before anybody looked
		case c.flags&flagWoken != 0:
			end(s, i, c)
			ended <- true
		default:
			s.post(look)
		}
	}
	in.shards[0].post(look)
	in.redis.Publish("c", "1")
	if !<-ended {
		return false
	}
	<-answer
	time.Sleep(4 * coalesce)
	if st := in.totals(); st.clients[kindPoll] != 0 || st.closes[CloseAdmin]+st.closes[CloseAnswered] != 1 {
		t.Errorf("%d polls, closes %v", st.clients[kindPoll], st.closes)
	}
	return true
}

// A poll's delay begins when its message arrives at this node, so that it includes the
// time that the message waits for a busy loop.
func TestDelayOfAPollBeginsWithItsMessage(t *testing.T) {
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	s := in.shards[0]
	var took []time.Duration
	for n := range 5 { // the machine may be busy too
		cursor := in.poll(nil, "channels=a&wait=0").Cursor
		answer := in.parked("channels=a&wait=10&cursor=" + cursor)
		before := in.broker.Stats().Messages
		blocked, release := make(chan struct{}), make(chan struct{})
		s.post(func() { close(blocked); <-release })
		<-blocked
		in.redis.Publish("a", n)
		eventually(t, "the message has come", func() bool { return in.broker.Stats().Messages > before })
		time.Sleep(2 * coalesce)
		begin := time.Now()
		close(release)
		if got := (<-answer)(); len(got.Messages) != 1 {
			t.Fatalf("the poll got %+v", got)
		}
		if took = append(took, time.Since(begin)); took[n] < coalesce {
			return
		}
	}
	t.Errorf("polls are answered %v after the loop was free again", took)
}
