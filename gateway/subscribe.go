package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/position"
)

// waiter is one request to subscribe. Millions may wait while Redis is away: one takes
// 128 bytes, which is a size class of Go's allocator.
type waiter struct {
	slot   uint32
	sub    index.Sub
	newest int32              // without since: it wants so many of the newest first
	first  bool               // it's for a channel of the request that the client came with
	again  bool               // the client has the channel already: it's only told where it stands
	time   bool               // since is a time, not a message of the channel
	lost   bool               // it had a plain position before these, since which plain messages may have passed this node by
	begun  bool               // some of the messages that it missed are sent
	told   bool               // that it has the channel
	since  []message.Position // it wants what follows the first of these that can be honoured
	asked  string             // since, as the client spelled it
	ref    requestRef
	replay *fanout.Request // the page that it waits for, or the one before

	// While it is sent what it missed.
	missed *fanout.Replay // what is left of the page
	page   *fanout.Replay // the one before, without its messages

	// Of the list that it is in; nil in none.
	list       *waiters
	prev, next *waiter
}

// catchesUp reports whether the client wants messages from before it comes.
func (w *waiter) catchesUp() bool { return len(w.since) > 0 || w.newest > 0 }

// subscribe adds the channel to the connection's; w says how. The client is
// told once the broker has confirmed.
func (s *shard) subscribe(i uint32, c *conn, name string, w waiter) {
	ch := s.index.Open([]byte(name))
	sub, added := s.index.Subscribe(&c.subs, i, ch)
	s.subscribed(i, c, ch, name, sub, added, w)
}

// subscribed asks the broker for what the connection's subscription sub needs,
// which was added or has been there.
func (s *shard) subscribed(i uint32, c *conn, ch index.Channel, name string, sub index.Sub, added bool, w waiter) {
	s.sumChannels()
	j := s.joins[ch]
	switch {
	case !added && s.pending(i, j, w.catchesUp()):
		s.replyError(i, c, name, codePending, "this channel is being subscribed already", w.ref)
		return
	case !added && w.catchesUp():
		// It has the channel and goes back: replay holds the live messages.
	case !added:
		w.again = true
	case s.takeBack(i, c, ch, name, w.ref):
		return
	default:
		c.count++
		s.countSubscriptions(1)
		s.index.Hold(sub, true)
	}
	w.slot, w.sub = i, sub
	live := false
	if j == nil || !j.asked {
		var at fanout.Joined
		if at, live = s.srv.broker.Join(name, s); !live {
			s.opened(i)
		} else if !w.catchesUp() {
			// As nearly always: there is nothing to wait for.
			s.begin(c, sub, &w, ch, name, at)
			return
		}
	}
	if j == nil {
		j = new(join)
		s.joins[ch] = j
	}
	waits := w // in memory of its own
	if live {
		s.catchUp(ch, j, &waits)
		return
	}
	j.waiting.add(&waits)
	j.asked = true
}

// begin lets a client have what follows in a channel and tells it so.
func (s *shard) begin(c *conn, sub index.Sub, w *waiter, ch index.Channel, channel string, at fanout.Joined) {
	if !w.again {
		s.index.SetFrom(sub, at.Seq)
		s.index.Hold(sub, false)
	}
	var text [128]byte
	id := text[:0]
	if at.Unused {
		id = position.AppendUnused(id, channel, at.Position)
	} else {
		id = at.Position.AppendTo(id)
	}
	if c.kind == kindPoll {
		s.pollSubscribed(c, w, ch, nil)
		return
	}
	s.confirm(c, w, ch, string(id))
	s.follows(c, w, ch, at.Position)
}

// waiting returns the connection and the subscription of w, nil when the
// client has left the channel or the gateway.
func (s *shard) waiting(w *waiter, ch index.Channel) (*conn, index.Sub) {
	c := s.conns.at(w.slot)
	if c.phase != phaseOpen {
		return nil, 0
	}
	if !s.index.Is(w.sub, w.slot, ch) {
		return nil, 0
	}
	return c, w.sub
}

// confirm tells the client of w that it has the channel from the position id on.
func (s *shard) confirm(c *conn, w *waiter, ch index.Channel, id string) {
	switch c.kind {
	case kindWebSocket:
		s.replySubscribed(w, c, s.index.Name(ch), id)
	case kindEvents:
		s.eventSubscribed(w, c, s.index.Name(ch), id)
	}
}

// follows tells a client that has the channel up to a position, from which on its
// messages follow, what there is to tell of that.
func (s *shard) follows(c *conn, w *waiter, ch index.Channel, at message.Position) {
	if s.overrun[ch] {
		s.tellOverrun(w.slot, c, ch, at)
	}
	if c.kind == kindEvents {
		s.eventsCaughtUp(w.slot, c, at)
	}
}

// form is how messages are encoded for the connection.
func (c *conn) form() message.Form {
	raw := c.flags&flagRaw != 0
	switch {
	case c.kind == kindEvents && raw:
		return message.FormRawEvent
	case c.kind == kindEvents:
		return message.FormEvent
	case raw:
		return message.FormRaw
	}
	return message.FormText
}

// unsubscribe handles a client's unsubscribe.
func (s *shard) unsubscribe(i uint32, c *conn, cmd *command) {
	ch, ok := s.index.Lookup([]byte(cmd.Channel))
	if ok {
		ok = s.index.Unsubscribe(&c.subs, ch)
	}
	if !ok {
		s.refuseCommand(i, c, cmd, codeNotSubscribed, "not subscribed to this channel")
		return
	}
	c.count--
	s.countSubscriptions(-1)
	s.forget(i, ch)
	s.settle(ch)
	s.reply(i, c, reply{Type: "unsubscribed", Channel: cmd.Channel, Ref: cmd.Ref})
}

// unsubscribeAll takes a connection out of all its channels.
func (s *shard) unsubscribeAll(i uint32, c *conn) {
	s.dropTask(i, c)
	if c.count == 0 {
		return
	}
	s.countSubscriptions(-int(c.count))
	c.count = 0
	for _, ch := range s.channelsOf(c) {
		s.index.Unsubscribe(&c.subs, ch)
		s.forget(i, ch)
		s.settle(ch)
	}
}

// channelsOf returns a connection's channels, valid until the next call.
func (s *shard) channelsOf(c *conn) []index.Channel {
	s.listed = s.listed[:0]
	s.index.Each(c.subs, func(_ index.Sub, ch index.Channel) { s.listed = append(s.listed, ch) })
	return s.listed
}

// Gap is called by the broker when messages may have been lost.
func (s *shard) Gap(channel string, g fanout.Gap) { s.Deliver(gapNotice(channel, g)) }
