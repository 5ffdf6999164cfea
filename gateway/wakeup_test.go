package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// parked makes a poll and returns when it is left to wait.
func (in *instance) parked(query string) <-chan func() polled {
	in.t.Helper()
	answer := in.pollMeanwhile(query)
	eventually(in.t, "the poll waits", func() bool {
		return in.Kept().Parked == 1
	})
	return answer
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

// A poll that knows its position in one channel may have to wait for another channel's next message
// to know it there too. It must not forget the first meanwhile, nor get a response without it.
func TestPollOverrunInOneChannelAfterTheOther(t *testing.T) {
	for name, meanwhile := range map[string]func(gateway.Loop){
		"nothing":      func(gateway.Loop) {},
		"is sent away": gateway.Loop.SendPollAway,
	} {
		t.Run(name, func(t *testing.T) { overrunOneAfterTheOther(t, meanwhile) })
	}
}

// whenWoken calls fn in a turn of the loop between the message for the only poll and its response,
// and then closes done.
func (in *instance) whenWoken(fn func(gateway.Loop)) (done <-chan struct{}) {
	called := make(chan struct{}) // closed by the loop
	in.WhenWoken(func(l gateway.Loop) {
		fn(l)
		close(called)
	})
	return called
}

func overrunOneAfterTheOther(t *testing.T, meanwhile func(gateway.Loop)) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	cursor := in.poll(nil, "channels=c,d&wait=0").Cursor
	answer := in.parked("channels=c,d&wait=10&cursor=" + cursor)

	// The loop is held from the first burst until the poll's delay is over and the second has
	// arrived: the poll is ready then, and the burst isn't handed over yet.
	reached, release := make(chan struct{}), make(chan struct{})
	in.whenWoken(func(l gateway.Loop) {
		close(reached)
		<-release
		time.Sleep(4 * gateway.Coalesce)
		meanwhile(l)
	})
	in.overrun("c")
	<-reached
	in.overrun("d")
	close(release)

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
}

// The message that would give a poll its position may have been dropped. Then it gets a gap.
func TestPollThatNeverKnowsWhereItIs(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*instance){
		"woken": func(in *instance) { in.redis.Publish("c", "1") },
		"sent away, then woken": func(in *instance) {
			release := in.hold()
			defer release()
			in.Post(gateway.Loop.SendPollAway)
			want := in.broker.Stats().Messages + 1
			in.redis.Publish("c", "1")
			eventually(in.t, "the broker has the message", func() bool { return in.broker.Stats().Messages == want })
		},
	} {
		t.Run(name, func(t *testing.T) { neverKnowsWhereItIs(t, end) })
	}
}

func neverKnowsWhereItIs(t *testing.T, end func(*instance)) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	in.poll(nil, "channels=c,d&wait=0")
	in.overrun("d")
	answer := in.parked("channels=c,d&wait=10")
	in.leaveBehind("d")
	begin := time.Now()
	end(in)
	if p := (<-answer)(); fmt.Sprint(p.Gaps) != "[d]" {
		t.Errorf("gaps %v", p.Gaps)
	}
	if took := time.Since(begin); took > gateway.EarlyPatience*gateway.Tick+2*time.Second {
		t.Errorf("answered after %v", took)
	}
}

// leaveBehind makes a poll of a channel whose next message it has missed, so that
// its ring doesn't reach back to where it is.
func (in *instance) leaveBehind(channel string) {
	in.Post(func(l gateway.Loop) { l.LeaveBehind(channel, burst) })
	in.Turn()
}

// Its age ends no poll that waits to know where it is, nor does it make it wait
// for ever.
func TestPollThatNeverKnowsWhereItIsGrowsOld(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Drain.MaxAge = 3 * time.Second }).ready()
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
	in := start(t, func(c *gateway.Config) { withTokens(c); c.Shards = 1 }).ready()
	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	good := "&token=" + token(t, auth.Claims{Subject: "ann", Subscribe: []string{"**"}, Expires: end})
	cursor := in.poll(nil, "channels=c&wait=0"+good).Cursor
	answer := in.parked("channels=c&wait=20&cursor=" + cursor + good)
	release := in.hold()
	in.Post(func(l gateway.Loop) { l.SetNow(time.Now()) }) // as a beat before the burst would
	time.Sleep(time.Until(end.Add(300 * time.Millisecond)))
	in.overrun("c")
	release()
	if p := (<-answer)(); len(p.Gaps) > 0 {
		t.Errorf("gaps %v, %d messages", p.Gaps, len(p.Messages))
	}
}

// A poll that is closed while its response is about to be sent gets one response.
func TestWokenPollIsEnded(t *testing.T) {
	for name, end := range map[string]func(gateway.Loop){
		"by the operator": gateway.Loop.DismissPoll,
		"sent away":       gateway.Loop.SendPollAway,
	} {
		t.Run(name, func(t *testing.T) { wokenPollIsEnded(t, end) })
	}
}

func wokenPollIsEnded(t *testing.T, end func(gateway.Loop)) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	answer := in.parked("channels=c&wait=10")
	ended := in.whenWoken(end)
	in.redis.Publish("c", "1")
	<-ended
	<-answer
	time.Sleep(4 * gateway.Coalesce)
	if st := in.totals(); st.clients["poll"] != 0 || st.closes[reasons.CloseAdmin]+st.closes[reasons.CloseAnswered] != 1 {
		t.Errorf("%d polls, closes %v", st.clients["poll"], st.closes)
	}
}

// A poll's delay begins when its message arrives at this node, so that it includes the
// time that the message waits for a busy loop.
func TestDelayOfAPollBeginsWithItsMessage(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	var took []time.Duration
	for n := range 5 { // the machine may be busy too
		cursor := in.poll(nil, "channels=a&wait=0").Cursor
		answer := in.parked("channels=a&wait=10&cursor=" + cursor)
		before := in.broker.Stats().Messages
		release := in.hold()
		in.redis.Publish("a", n)
		eventually(t, "the message has come", func() bool { return in.broker.Stats().Messages > before })
		time.Sleep(2 * gateway.Coalesce)
		begin := time.Now()
		release()
		if got := (<-answer)(); len(got.Messages) != 1 {
			t.Fatalf("the poll got %+v", got)
		}
		if took = append(took, time.Since(begin)); took[n] < gateway.Coalesce {
			return
		}
	}
	t.Errorf("polls are answered %v after the loop was free again", took)
}
