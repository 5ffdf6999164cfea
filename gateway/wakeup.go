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
	// coalesce is how long a poll is left open after its first message has come to this
	// node: what else comes at that moment goes with it instead of costing a round trip.
	coalesce = 5 * time.Millisecond
	// leastCoalesce is the shortest delay, for a message that a busy loop took late.
	leastCoalesce = time.Millisecond
)

// responsesPerSlice is how many polls are answered before events are asked for
// again.
const responsesPerSlice = 256

// wakeups are the polls that have messages. One timer serves all of a shard's.
type wakeups struct {
	woken []uint64      // slot and generation, the next one last
	ready []uint64      // those whose delay is over
	due   time.Duration // the server's uptime at which the delay of those woken is over
	timer *time.Timer   // posts; running while woken isn't empty
	last  response

	// The positions before what polls were woken by, for those whose channel's
	// ring is too short for what came since.
	wokenAt map[place]before
	readyAt map[place]before
	noted   *message.Message // the last one in wokenAt
	early   bool             // a poll that was ready is among the woken again, and needs readyAt
}

// before is the positions just before a message.
type before struct {
	durable message.Position
	plain   uint64 // number of this node's
}

// unknown stands for the durable position of a channel that has none.
var unknown = message.Position{Node: "unknown"}

// place is a message by its channel and its number there.
type place struct {
	channel string
	seq     uint32
}

// response is the last one that was made: polls that wait for the same
// channel from the same place get the same bytes.
type response struct {
	key    responseKey
	pieces [][]byte // of the response, one unless large messages are in it
	n      int      // messages in it
}

// responseKey says when two answers are alike. The zero key is no answer.
type responseKey struct {
	channel index.Channel
	from    uint32
	max     uint16
	flags   flags
	page    uint16
}

// wake notes that a poll has messages, of which first is the first.
func (s *shard) wake(i uint32, c *conn, first *message.Message) {
	if c.poll != 0 {
		return
	}
	s.wakeups.note(first)
	if c.flags&flagWoken == 0 {
		s.queueWakeup(i, c, max(leastCoalesce, coalesce-s.srv.broker.Age(first)))
	}
}

// queueWakeup has a poll answered after a delay, or with those that are woken already.
func (s *shard) queueWakeup(i uint32, c *conn, delay time.Duration) {
	a := &s.wakeups
	c.flags |= flagWoken
	a.woken = append(a.woken, uint64(i)<<32|uint64(c.gen))
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

// note keeps the positions of the polls that are woken by m; unknown
// where there is none.
func (a *wakeups) note(m *message.Message) {
	if m == a.noted {
		return
	}
	a.noted = m
	at, seq := m.Before(), m.Seq
	switch {
	case m.Notice():
		at, seq = unknown, m.Seq+1 // of a gap, which takes a number too
	case at.IsZero() && !m.ID.Durable():
		at = unknown // the channel has no stream
	}
	if a.wokenAt == nil {
		a.wokenAt = make(map[place]before)
	}
	a.wokenAt[place{m.Channel, seq}] = before{at, m.Arrived - 1}
}

// position returns where a poll was that was woken after the channel's message
// seq. It isn't ok while what follows seq is still on its way from the broker.
func (a *wakeups) position(channel string, seq uint32) (before, bool) {
	at := place{channel, seq + 1}
	p, ok := a.readyAt[at]
	if !ok {
		p, ok = a.wokenAt[at]
	}
	return p, ok
}

// coalesced ends the delay of the polls that were woken, once it's over. A busy loop
// calls it in each round: the timer's goroutine would have to wait for a CPU too.
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

// respondWoken answers some of the polls that have messages.
func (s *shard) respondWoken() (more bool) {
	a := &s.wakeups
	s.coalesced()
	if len(a.ready) == 0 {
		return false
	}
	a.last = response{} // more may have come since the last slice
	// One with 4,096 channels takes as long as many with one.
	for n, start := 0, time.Now(); n < responsesPerSlice && len(a.ready) > 0 && time.Since(start) < reactor.Slice; n++ {
		k := a.ready[0]
		a.ready = a.ready[1:]
		if c := s.conns.find(uint32(k>>32), uint32(k)); c != nil && c.flags&flagWoken != 0 {
			s.tryRespond(uint32(k>>32), c)
		}
	}
	return len(a.ready) > 0
}

// earlyPatience is how many ticks a poll waits for what the broker is handing
// over. It may never come: a shard drops messages when it is overrun.
const earlyPatience = 20

// tryRespond answers a poll, unless the broker is so far ahead that it no longer
// has what it is still handing over. That tells where to go on in the stream.
func (s *shard) tryRespond(i uint32, c *conn) { s.respondPoll(i, c, false) }

// respondNow sends a poll what there is for it now.
func (s *shard) respondNow(i uint32, c *conn) { s.respondPoll(i, c, true) }

// respondPoll answers a poll, one of many channels over the next turns. The answer
// may be shared with other polls.
func (s *shard) respondPoll(i uint32, c *conn, now bool) {
	if c.phase != phaseOpen {
		return
	}
	if s.srv.draining.Load() {
		c.flags |= flagClose // the next one would be refused here
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
		// It has waited too long for its channels.
		for _, name := range t.opens.channels {
			g.keep(name, s.srv.node, &t.opens.resume, false)
		}
		s.dropTask(i, c)
	}
	if c.count > taskSlice {
		g.parts = nil // others are answered meanwhile
		s.putOff(i, c, &task{gathers: g})
		return
	}
	for !s.gatherSome(c, g) {
	}
	clear(g.parts)
	s.parts = g.parts[:0]
	s.gathered(i, c, g)
}

// gathered answers a poll with what was gathered.
func (s *shard) gathered(i uint32, c *conn, g *gathering) {
	if g.early {
		if g.now {
			s.respondNow(i, c)
			return
		}
		if c.flags&flagEarly == 0 {
			c.flags |= flagEarly
			// Whatever else would end it, a token or its age, waits for that.
			s.wheel.Set(i, s.now+earlyPatience)
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

// sendResponse answers a poll with n messages and makes its connection ready for
// the next request.
func (s *shard) sendResponse(i uint32, c *conn, pieces [][]byte, n int) {
	s.stats.deliveries += uint64(n)
	s.endPoll(i, c)
	s.respondWith(i, c, pieces...)
}

// endPoll takes a poll out of its channels, which the broker keeps for a while
// with what they get: the client is about to come back.
func (s *shard) endPoll(i uint32, c *conn) {
	s.stats.clients[kindPoll]--
	s.unsubscribeAll(i, c)
	c.phase, c.kind = phaseBody, kindNone
}

// responseKey returns the key of a poll's answer, zero when it can't be shared.
func (s *shard) responseKey(i uint32, c *conn) (k responseKey) {
	if c.count != 1 || c.poll != 0 {
		return responseKey{}
	}
	s.index.Each(c.subs, func(sub index.Sub, ch index.Channel) {
		if !s.index.Held(sub) {
			k = responseKey{ch, s.index.From(sub), c.max, c.flags &^ (flagKept | flagDemoted), s.pages.at(i, c)}
		}
	})
	return k
}
