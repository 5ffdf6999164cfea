package longpoll

import (
	"maps"
	"time"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
)

const (
	// Coalesce is how long a poll is held after its first message has reached this node, so that
	// messages close behind share the response instead of costing a round trip.
	Coalesce = 5 * time.Millisecond
	// leastCoalesce is the shortest delay, for a message that a busy loop took late.
	leastCoalesce = time.Millisecond
)

// responsesPerSlice is the number of poll responses before the next poll for events.
const responsesPerSlice = 256

// wakeups are a loop's polls with messages. One timer serves them all.
type wakeups struct {
	polls *Polls
	woken []conn.Key    // newest last
	ready []conn.Key    // polls whose delay is over
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

// noStream stands for the durable position of a channel without a stream.
var noStream = message.Position{Node: "noStream"}

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
	channel  index.Channel
	from     uint32
	max      uint16
	raw      bool
	flags    uint8 // of the client
	head     httpconn.Variant
	releases uint32 // the channel's number may be another's since
}

// Deliver notes that a poll has messages.
func (p *Polls) Deliver(i uint32, b *index.Batch) (ok bool) {
	own, first := p.Hub.Own(i), b.Messages()[0]
	if own.Flags&flagSetup != 0 {
		return true
	}
	p.wakeups.note(first)
	if own.Flags&flagWoken == 0 {
		p.wakeups.queue(i, max(leastCoalesce, Coalesce-p.Hub.Shared.Broker.Age(first)))
	}
	return true
}

// queue schedules a poll's response after a delay, or with the polls already woken.
func (a *wakeups) queue(i uint32, delay time.Duration) {
	a.polls.Hub.Own(i).Flags |= flagWoken
	a.woken = append(a.woken, a.polls.Hub.Conns.Slots.Key(i))
	if len(a.woken) > 1 {
		return
	}
	a.due = a.polls.Hub.Limits.Uptime() + delay
	if a.timer == nil {
		a.timer = time.AfterFunc(delay, func() { a.polls.Hub.Post(a.coalesced) })
	} else {
		a.timer.Reset(delay)
	}
}

// note records the positions of polls woken by m; noStream if there is none.
func (a *wakeups) note(m *message.Message) {
	if m == a.noted {
		return
	}
	a.noted = m
	at, seq := m.Before(), m.Seq
	switch {
	case m.Notice():
		at, seq = noStream, m.Seq+1 // a gap notice, which takes a number too
	case at.IsZero() && !m.ID.Durable():
		at = noStream // the channel has no stream
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
func (a *wakeups) coalesced() {
	if len(a.woken) > 0 && a.polls.OnWoken != nil {
		a.polls.OnWoken()
	}
	if len(a.woken) == 0 || a.polls.Hub.Limits.Uptime() < a.due {
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

// Work responds to some of the polls with messages.
func (p *Polls) Work() (more bool) {
	a := &p.wakeups
	p.wakeups.coalesced()
	if len(a.ready) == 0 {
		return false
	}
	a.last = response{} // more messages may have arrived since the last slice
	// A poll of 4,096 channels takes as long as many of one.
	for n, start := 0, time.Now(); n < responsesPerSlice && len(a.ready) > 0 && time.Since(start) < conn.Slice; n++ {
		k := a.ready[0]
		a.ready = a.ready[1:]
		if p.Hub.Conns.Slots.Find(k) && p.Hub.Is(k.Slot, p.kind) && p.Hub.Own(k.Slot).Flags&flagWoken != 0 {
			p.tryRespond(k.Slot)
		}
	}
	return len(a.ready) > 0
}

// EarlyPatience is the number of ticks a poll waits for messages that the broker is handing over.
// They may never arrive: an overrun loop drops messages.
const EarlyPatience = 20

// tryRespond responds to a poll, unless the broker is so far ahead that its ring no longer has the
// messages it is still handing over, which give the position to continue from in the stream.
func (p *Polls) tryRespond(i uint32) { p.responder.respond(i, false) }

// RespondNow responds to a poll with the messages available now.
func (p *Polls) RespondNow(i uint32) { p.responder.respond(i, true) }

// Forget forgets the last response, which others could share.
func (p *Polls) Forget() { p.wakeups.last = response{} }
