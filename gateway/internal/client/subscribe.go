package client

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/position"
)

// codePending is the code of a request while an earlier one for the channel is under way.
const codePending = "pending"

// Subscribe adds a channel to a client's subscriptions. It is confirmed once the broker has.
func (s *Channels) Subscribe(i uint32, name string, w Request) {
	c := s.hub.at(i)
	ch := s.Index.Open([]byte(name))
	sub, added := s.Index.Subscribe(&c.subs, i, ch)
	s.subscribed(i, c, ch, name, sub, added, w)
}

// subscribed makes the broker calls for the connection's subscription sub, which was just added or
// existed before.
func (s *Channels) subscribed(i uint32, c *record, ch index.Channel, name string, sub index.Sub, added bool, w Request) {
	s.sumChannels()
	j := s.joins[ch]
	switch {
	case !added && s.pending(i, j, w.catchesUp()):
		s.hub.protocols[c.kind].Refuse(i, name, codePending, "this channel is being subscribed already", w.Ref)
		return
	case !added && w.catchesUp():
		// Subscribed, and going back: replay holds the live messages.
	case !added:
		w.again = true
	case s.takeBack(i, c, ch, name, &w):
		return
	default:
		c.count++
		s.count(1)
		s.Index.Hold(sub, true)
	}
	w.Slot, w.sub = i, sub
	live := false
	if j == nil || !j.asked {
		var at fanout.Joined
		if at, live = s.hub.Shared.Broker.Join(name, &s.hub.intake); !live {
			s.hub.Limits.Opened(i)
		} else if !w.catchesUp() {
			// The usual case: nothing to wait for.
			s.begin(&w, ch, name, at)
			return
		}
	}
	if j == nil {
		j = new(join)
		s.joins[ch] = j
	}
	waits := w // on the heap
	if live {
		s.hub.catchUps.begin(ch, j, &waits)
		return
	}
	j.waiting.add(&waits)
	j.asked = true
}

// begin starts delivery of a channel to a client and confirms it.
func (s *Channels) begin(w *Request, ch index.Channel, channel string, at fanout.Joined) {
	if !w.again {
		s.start(w.sub, at.Seq)
	}
	p := s.hub.protocolOf(w.Slot)
	if p.Begun(w.Slot) {
		return
	}
	var text [128]byte
	id := text[:0]
	if at.Unused {
		id = position.AppendUnused(id, channel, at.Position)
	} else {
		id = at.Position.AppendTo(id)
	}
	p.Confirm(w.Slot, channel, string(id), w.Ref, w.First)
	s.follows(w, ch, at.Position)
}

// waits reports whether the client that made a request is still there, and still subscribed.
func (s *Channels) waits(w *Request, ch index.Channel) bool {
	return s.hub.IsOpen(w.Slot) && s.Index.Is(w.sub, w.Slot, ch)
}

// follows reports the state of a channel to a client whose live messages start at a position.
func (s *Channels) follows(w *Request, ch index.Channel, at message.Position) {
	s.hub.intake.follows(w.Slot, ch, at)
	s.hub.protocolOf(w.Slot).CaughtUp(w.Slot, at)
}

// Unsubscribe unsubscribes a client from a channel, and reports whether it was subscribed.
func (s *Channels) Unsubscribe(i uint32, name string) bool {
	c := s.hub.at(i)
	ch, ok := s.Index.Lookup([]byte(name))
	if !ok || !s.Index.Unsubscribe(&c.subs, ch) {
		return false
	}
	c.count--
	s.count(-1)
	s.forget(i, ch)
	s.settle(ch)
	return true
}

// leaveAll ends all subscriptions of a client.
func (s *Channels) leaveAll(i uint32) {
	s.hub.Tasks.Drop(i)
	c := s.hub.at(i)
	if c.count == 0 {
		return
	}
	s.count(-int(c.count))
	c.count = 0
	for _, ch := range s.list(c) {
		s.Index.Unsubscribe(&c.subs, ch)
		s.forget(i, ch)
		s.settle(ch)
	}
}

// list returns a client's channels, valid until the next call.
func (s *Channels) list(c *record) []index.Channel {
	s.listed = s.listed[:0]
	s.Index.Each(c.subs, func(_ index.Sub, ch index.Channel) { s.listed = append(s.listed, ch) })
	return s.listed
}

// Names returns the names of a client's channels.
func (s *Channels) Names(i uint32) (names []string) {
	for _, ch := range s.list(s.hub.at(i)) {
		names = append(names, s.Index.Name(ch))
	}
	return names
}

// Count returns the number of a client's channels.
func (s *Channels) Count(i uint32) int { return int(s.hub.at(i).count) }

// Has reports whether a client is subscribed to a channel.
func (s *Channels) Has(i uint32, ch index.Channel) bool {
	_, ok := s.Index.Find(s.hub.at(i).subs, ch)
	return ok
}

// Each calls fn for a client's subscriptions.
func (s *Channels) Each(i uint32, fn func(sub index.Sub, ch index.Channel)) {
	s.Index.Each(s.hub.at(i).subs, fn)
}

// EachSome calls fn for up to n of a client's subscriptions from one on, 0 for the first, and
// returns the next, 0 at the end.
func (s *Channels) EachSome(i uint32, from index.Sub, n int, fn func(sub index.Sub, ch index.Channel)) (next index.Sub) {
	return s.Index.EachSome(s.hub.at(i).subs, from, n, fn)
}

// start has a client get the messages of a channel behind number seq, those that were held back
// first.
func (s *Channels) start(sub index.Sub, seq uint32) {
	s.Index.SetFrom(sub, seq)
	s.Index.Hold(sub, false)
}

// Open subscribes a client without channels to the channels of its first request: to the first
// SliceChannels of them now, to the others in the next turns.
func (s *Channels) Open(i uint32, p *Params) {
	o := Opening{*p, s}
	switch done := o.Work(i); {
	case !s.hub.IsOpen(i):
	case done:
		o.Done(i)
	default:
		rest := o // on the heap
		s.hub.Tasks.Start(i, &rest, rest.Bytes())
	}
}

// Opening is the task of Open.
type Opening struct {
	Params
	channels *Channels
}

// Work subscribes to a slice of the channels.
func (o *Opening) Work(i uint32) (done bool) {
	s := o.channels
	n := min(len(o.Channels), SliceChannels)
	names := o.Channels[:n]
	o.Channels = o.Channels[n:]
	for _, name := range names {
		c := s.hub.at(i)
		if !c.isOpen() {
			break
		}
		w := Request{First: true, Time: o.Resume.IsTime(), Asked: o.Resume.Text, fits: o.Checked}
		w.Since, w.Lost = o.Resume.Positions(name, s.hub.Net.Node)
		if len(w.Since) == 0 {
			w.Newest = int32(o.History)
		}
		ch := s.Index.Open([]byte(name))
		s.subscribed(i, c, ch, name, s.Index.Add(&c.subs, i, ch), true, w)
	}
	return len(o.Channels) == 0
}

// Done continues after the last channel.
func (o *Opening) Done(i uint32) { o.channels.hub.protocolOf(i).Opened(i) }
