package gateway

import (
	"maps"
	"time"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/internal/reactor"
)

const (
	// coalesce is how long a poll is held after its first message has reached this node, so that
	// messages close behind share the response instead of costing a round trip.
	coalesce = 5 * time.Millisecond
	// leastCoalesce is the shortest delay, for a message that a busy loop took late.
	leastCoalesce = time.Millisecond
)

// responsesPerSlice is the number of poll responses before the next poll for events.
const responsesPerSlice = 256

// wakeups are a shard's polls with messages. One timer serves them all.
type wakeups struct {
	woken []reactor.Key // newest last
	ready []reactor.Key // polls whose delay is over
	due   time.Duration // the server's uptime at which the delay of woken is over
	timer *time.Timer   // posts; running while woken isn't empty
	last  response

	// The positions before the messages that woke polls, for polls whose channel's ring is too
	// short for the messages since.
	wokenAt map[place]before
	readyAt map[place]before
	noted   *message.Message // the last one in wokenAt
	early   bool             // a ready poll is among the woken again, and needs readyAt
}

// before holds the positions just before a message.
type before struct {
	durable message.Position
	plain   uint64 // number on this node
}

// unknown stands for the durable position of a channel without a stream.
var unknown = message.Position{Node: "unknown"}

// place identifies a message by its channel and its number there.
type place struct {
	channel string
	seq     uint32
}

// response is the latest response: polls of the same channel at the same position share its bytes.
type response struct {
	key    responseKey
	pieces [][]byte // one unless it has large messages
	n      int      // messages in it
}

// responseKey identifies equal responses. The zero key is no response.
type responseKey struct {
	channel index.Channel
	from    uint32
	max     uint16
	flags   flags
	page    uint16
}

// wake notes that a poll has messages, starting with first.
func (s *shard) wake(i uint32, c *client, first *message.Message) {
	if c.poll != 0 {
		return
	}
	s.wakeups.note(first)
	if c.flags&flagWoken == 0 {
		s.queueWakeup(i, c, max(leastCoalesce, coalesce-s.srv.broker.Age(first)))
	}
}

// queueWakeup schedules a poll's response after a delay, or with the polls already woken.
func (s *shard) queueWakeup(i uint32, c *client, delay time.Duration) {
	a := &s.wakeups
	c.flags |= flagWoken
	a.woken = append(a.woken, s.conns.Key(i))
	if len(a.woken) > 1 {
		return
	}
	a.due = s.uptime() + delay
	if a.timer == nil {
		a.timer = time.AfterFunc(delay, func() { s.post(s.coalesced) })
	} else {
		a.timer.Reset(delay)
	}
}

// note records the positions of polls woken by m; unknown if there is none.
func (a *wakeups) note(m *message.Message) {
	if m == a.noted {
		return
	}
	a.noted = m
	at, seq := m.Before(), m.Seq
	switch {
	case m.Notice():
		at, seq = unknown, m.Seq+1 // a gap notice, which takes a number too
	case at.IsZero() && !m.ID.Durable():
		at = unknown // the channel has no stream
	}
	if a.wokenAt == nil {
		a.wokenAt = make(map[place]before)
	}
	a.wokenAt[place{m.Channel, seq}] = before{at, m.Arrived - 1}
}

// position returns the position of a poll that was woken after the channel's message seq. It isn't
// ok while the messages behind seq are still in flight from the broker.
func (a *wakeups) position(channel string, seq uint32) (before, bool) {
	at := place{channel, seq + 1}
	p, ok := a.readyAt[at]
	if !ok {
		p, ok = a.wokenAt[at]
	}
	return p, ok
}

// coalesced ends the delay of the woken polls, once it's over. A busy loop calls it in each round:
// the timer's goroutine would have to wait for a CPU too.
func (s *shard) coalesced() {
	a := &s.wakeups
	if len(a.woken) > 0 && s.onWoken != nil {
		s.onWoken()
	}
	if len(a.woken) == 0 || s.uptime() < a.due {
		return
	}
	if len(a.ready) == 0 && !a.early {
		clear(a.readyAt)
	}
	if len(a.readyAt) == 0 {
		a.readyAt, a.wokenAt = a.wokenAt, a.readyAt
	} else {
		maps.Copy(a.readyAt, a.wokenAt)
		clear(a.wokenAt)
	}
	a.noted, a.early = nil, false
	a.ready = append(a.ready, a.woken...)
	a.woken = a.woken[:0]
}

// respondWoken responds to some of the polls with messages.
func (s *shard) respondWoken() (more bool) {
	a := &s.wakeups
	s.coalesced()
	if len(a.ready) == 0 {
		return false
	}
	a.last = response{} // more messages may have arrived since the last slice
	// A poll of 4,096 channels takes as long as many of one.
	for n, start := 0, time.Now(); n < responsesPerSlice && len(a.ready) > 0 && time.Since(start) < reactor.Slice; n++ {
		k := a.ready[0]
		a.ready = a.ready[1:]
		if c := s.find(k); c != nil && c.flags&flagWoken != 0 {
			s.tryRespond(k.Slot, c)
		}
	}
	return len(a.ready) > 0
}

// earlyPatience is the number of ticks a poll waits for messages that the broker is handing over.
// They may never arrive: an overrun shard drops messages.
const earlyPatience = 20

// tryRespond responds to a poll, unless the broker is so far ahead that its ring no longer has the
// messages it is still handing over, which give the position to continue from in the stream.
func (s *shard) tryRespond(i uint32, c *client) { s.respondPoll(i, c, false) }

// respondNow responds to a poll with the messages available now.
func (s *shard) respondNow(i uint32, c *client) { s.respondPoll(i, c, true) }

// respondPoll responds to a poll, over the next turns if it has many channels. The response may be
// shared with other polls.
func (s *shard) respondPoll(i uint32, c *client, now bool) {
	if c.phase != phaseOpen {
		return
	}
	if s.srv.draining.Load() {
		c.flags |= flagClose // its next request would be refused here
	}
	key := s.responseKey(i, c)
	if last := &s.wakeups.last; key != (responseKey{}) && key == last.key {
		s.sendResponse(i, c, last.pieces, last.n)
		return
	}
	g := &gathering{now: now, parts: s.parts[:0]}
	g.form = c.pollForm()
	if c.flags&flagTask != 0 {
		t := s.taskOf[i]
		if t.gathers != nil {
			t.gathers.now = t.gathers.now || now
			return
		}
		// Its channels took too long.
		for _, name := range t.opens.channels {
			g.keep(name, s.srv.node, &t.opens.resume, false)
		}
		s.dropTask(i, c)
	}
	if c.count > taskSlice {
		g.parts = nil // other polls use s.parts meanwhile
		s.putOff(i, c, &task{gathers: g})
		return
	}
	for !s.gatherSome(c, g) {
	}
	clear(g.parts)
	s.parts = g.parts[:0]
	s.gathered(i, c, g)
}

// gathered sends a poll the gathered response.
func (s *shard) gathered(i uint32, c *client, g *gathering) {
	if g.early {
		if g.now {
			s.respondNow(i, c)
			return
		}
		if c.flags&flagEarly == 0 {
			c.flags |= flagEarly
			// Other deadlines, of its token or its age, wait for that.
			s.conns.SetDeadline(i, s.conns.Now()+earlyPatience)
		}
		s.wakeups.early = true
		s.queueWakeup(i, c, coalesce)
		return
	}
	o := s.connOptions(i, c)
	var pieces [][]byte
	if g.count == 0 && len(g.gaps) == 0 && !g.more {
		o.Lines = append(append(append(o.Lines, "Poll-Cursor: "...), g.position...), "\r\n"...)
		pieces = [][]byte{http1.AppendResponse(nil, 204, nil, o)}
	} else {
		pieces = g.response(g.position, o)
	}
	s.wakeups.last = response{s.responseKey(i, c), pieces, g.count}
	s.sendResponse(i, c, pieces, g.count)
}

// sendResponse sends a poll a response with n messages and makes its connection ready for the next
// request.
func (s *shard) sendResponse(i uint32, c *client, pieces [][]byte, n int) {
	s.stats.deliveries += uint64(n)
	s.endPoll(i, c)
	s.respondWith(i, c, pieces...)
}

// endPoll unsubscribes a poll. The broker keeps its channels and their messages for a while: the
// client is about to return.
func (s *shard) endPoll(i uint32, c *client) {
	s.stats.clients[kindPoll]--
	s.unsubscribeAll(i, c)
	c.phase, c.kind = phaseBody, kindNone
}

// responseKey returns the key of a poll's response, zero if it can't be shared.
func (s *shard) responseKey(i uint32, c *client) (k responseKey) {
	if c.count != 1 || c.poll != 0 {
		return responseKey{}
	}
	s.index.Each(c.subs, func(sub index.Sub, ch index.Channel) {
		if !s.index.Held(sub) {
			k = responseKey{ch, s.index.From(sub), c.max, c.flags &^ flagKept, s.pages.at(i, c)}
		}
	})
	return k
}
