package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/position"
)

// waiter is one subscribe request. Millions may wait while Redis is down: one takes 128 bytes,
// which is a size class of Go's allocator.
type waiter struct {
	slot   uint32
	sub    index.Sub
	newest int32              // without since: number of newest messages to replay first
	first  bool               // for a channel of the connection's initial request
	again  bool               // already subscribed: only its position is sent
	time   bool               // since is a time, not a message of the channel
	lost   bool               // plain messages since its older plain position may have bypassed this node
	begun  bool               // some missed messages are sent
	told   bool               // the subscription is confirmed
	since  []message.Position // resume after the first of these that is available
	asked  string             // since in the client's spelling
	ref    requestRef
	replay *fanout.Request // the page in progress, or the last one

	// While catching up
	missed *fanout.Replay // remainder of the page
	page   *fanout.Replay // the previous page, without its messages

	// In the list that it is in, if any
	list       *waiters
	prev, next *waiter
}

// catchesUp reports whether the client requests earlier messages.
func (w *waiter) catchesUp() bool { return len(w.since) > 0 || w.newest > 0 }

// subscribe adds the channel to the connection's subscriptions with the options in w. It is
// confirmed once the broker has.
func (s *shard) subscribe(i uint32, c *client, name string, w waiter) {
	ch := s.index.Open([]byte(name))
	sub, added := s.index.Subscribe(&c.subs, i, ch)
	s.subscribed(i, c, ch, name, sub, added, w)
}

// subscribed makes the broker calls for the connection's subscription sub, which was just added or
// existed before.
func (s *shard) subscribed(i uint32, c *client, ch index.Channel, name string, sub index.Sub, added bool, w waiter) {
	s.sumChannels()
	j := s.joins[ch]
	switch {
	case !added && s.pending(i, j, w.catchesUp()):
		s.replyError(i, c, name, codePending, "this channel is being subscribed already", w.ref)
		return
	case !added && w.catchesUp():
		// Subscribed, and going back: replay holds the live messages.
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
			// The usual case: nothing to wait for.
			s.begin(c, sub, &w, ch, name, at)
			return
		}
	}
	if j == nil {
		j = new(join)
		s.joins[ch] = j
	}
	waits := w // on the heap
	if live {
		s.catchUp(ch, j, &waits)
		return
	}
	j.waiting.add(&waits)
	j.asked = true
}

// begin starts delivery of a channel to a client and confirms it.
func (s *shard) begin(c *client, sub index.Sub, w *waiter, ch index.Channel, channel string, at fanout.Joined) {
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

// waiting returns the connection and the subscription of w, nil if the client has unsubscribed or
// disconnected.
func (s *shard) waiting(w *waiter, ch index.Channel) (*client, index.Sub) {
	c := s.client(w.slot)
	if c.phase != phaseOpen {
		return nil, 0
	}
	if !s.index.Is(w.sub, w.slot, ch) {
		return nil, 0
	}
	return c, w.sub
}

// confirm confirms w's subscription from position id on.
func (s *shard) confirm(c *client, w *waiter, ch index.Channel, id string) {
	switch c.kind {
	case kindWebSocket:
		s.replySubscribed(w, c, s.index.Name(ch), id)
	case kindEvents:
		s.eventSubscribed(w, c, s.index.Name(ch), id)
	}
}

// follows reports the state of a channel to a client whose live messages start at a position.
func (s *shard) follows(c *client, w *waiter, ch index.Channel, at message.Position) {
	if s.overrun[ch] {
		s.tellOverrun(w.slot, c, ch, at)
	}
	if c.kind == kindEvents {
		s.eventsCaughtUp(w.slot, c, at)
	}
}

// form returns the encoding of messages for the connection.
func (c *client) form() message.Form {
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

// unsubscribe handles a client's unsubscribe command.
func (s *shard) unsubscribe(i uint32, c *client, cmd *command) {
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

// unsubscribeAll ends all subscriptions of a connection.
func (s *shard) unsubscribeAll(i uint32, c *client) {
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
func (s *shard) channelsOf(c *client) []index.Channel {
	s.listed = s.listed[:0]
	s.index.Each(c.subs, func(_ index.Sub, ch index.Channel) { s.listed = append(s.listed, ch) })
	return s.listed
}

// Gap is called by the broker when messages may have been lost.
func (s *shard) Gap(channel string, g fanout.Gap) { s.Deliver(gapNotice(channel, g)) }
