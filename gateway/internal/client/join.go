package client

import (
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/internal/conn"
)

// Channels are the channels of a loop's clients, with their subscribers.
type Channels struct {
	// Immutable
	hub *Hub
	fan func(conn uint32, b *index.Batch) // deliver, bound once

	// Owned by the loop
	Index    *index.Index
	joins    map[index.Channel]*join
	live     []index.Channel // joins with waiters still to be served
	listed   []index.Channel // by list
	sum      int             // channels included in the sum of all loops
	Releases uint32          // channels whose number may be another's by now
}

func newChannels(h *Hub) *Channels {
	s := &Channels{hub: h, fan: h.deliver, Index: index.New(), joins: make(map[index.Channel]*join)}
	s.Index.OnDelivered(h.delivered)
	return s
}

// join is a channel of the loop with a subscription pending at the broker: its new subscribers
// wait, held in the index so that they miss no message. The channel is not released while the reply
// to a Join is outstanding, so that the reply always belongs to the present subscription.
type join struct {
	waiting waiters // for Joined
	catchup waiters // for Replay
	asked   bool    // a Join is outstanding
	live    bool    // it was answered, and the waiters are served a slice at a time
	busy    int     // waiters are being served, which may make clients leave
}

// waiters are the requests waiting for the same event of one channel, oldest first. While Redis is
// down there may be hundreds of thousands, coming and going all the time: each is found by its
// client.
type waiters struct {
	first, last *Request
	n           int
	found       map[waiterKey]*Request // nil up to fewWaiters
}

// waiterKey identifies a request: a channel has at most one of each.
type waiterKey struct {
	slot      uint32
	catchesUp bool
}

// fewWaiters is the length up to which a list is searched: most channels have one waiter, and a map
// would take four times its memory.
const fewWaiters = 8

func (w *Request) key() waiterKey { return waiterKey{w.Slot, w.catchesUp()} }

// of returns the request with key k, nil if there is none.
func (l *waiters) of(k waiterKey) *Request {
	if l.found != nil {
		return l.found[k]
	}
	w := l.first
	for w != nil && w.key() != k {
		w = w.next
	}
	return w
}

// add appends w, which must not be in any list.
func (l *waiters) add(w *Request) {
	w.list, w.prev, w.next = l, l.last, nil
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	l.n++
	switch {
	case l.found != nil:
		l.found[w.key()] = w
	case l.n > fewWaiters:
		l.found = make(map[waiterKey]*Request, 2*fewWaiters)
		for w := l.first; w != nil; w = w.next {
			l.found[w.key()] = w
		}
	}
}

// remove removes w from the list.
func (l *waiters) remove(w *Request) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.list, w.prev, w.next = nil, nil, nil
	if l.n--; l.n == 0 {
		l.found = nil
	} else if l.found != nil {
		delete(l.found, w.key())
	}
}

// forget drops the outstanding requests of a connection for a channel.
func (s *Channels) forget(i uint32, ch index.Channel) {
	j := s.joins[ch]
	if j == nil {
		return
	}
	for _, catchesUp := range [...]bool{false, true} {
		k := waiterKey{i, catchesUp}
		if w := j.waiting.of(k); w != nil {
			j.waiting.remove(w)
		}
		if w := j.catchup.of(k); w != nil {
			if w.replay != nil {
				w.replay.Cancel()
			}
			j.catchup.remove(w)
		}
	}
}

// pending reports whether a connection must wait for an earlier request for the channel: a catch-up
// for its own, any other also for the broker's reply. So it has at most one of each kind
// outstanding.
func (s *Channels) pending(i uint32, j *join, catchesUp bool) bool {
	switch {
	case j == nil:
		return false
	case !catchesUp && j.asked:
		return true
	}
	k := waiterKey{i, catchesUp}
	return j.waiting.of(k) != nil || catchesUp && j.catchup.of(k) != nil
}

// joined starts the waiters of a channel whose messages arrive from now on.
func (s *Channels) joined(channel string, at fanout.Joined) {
	ch, ok := s.Index.Lookup([]byte(channel))
	if !ok {
		return
	}
	j := s.joins[ch]
	if j == nil || !j.asked {
		return
	}
	j.asked = false
	s.startSome(ch, channel, j, at, time.Now())
}

// startSome starts a channel's waiters at position at, until a slice that began at start is over.
// The others start in the next slices, at the channel's position by then.
func (s *Channels) startSome(ch index.Channel, channel string, j *join, at fanout.Joined, start time.Time) {
	j.busy++
	for told := 0; j.waiting.n > 0; told++ {
		if told%fewWaiters == fewWaiters-1 && time.Since(start) > conn.Slice {
			break
		}
		w := j.waiting.first
		j.waiting.remove(w)
		switch {
		case !s.waits(w, ch):
		case w.catchesUp():
			s.hub.catchUps.begin(ch, j, w)
		default:
			s.begin(w, ch, channel, at)
		}
	}
	j.busy--
	if was := j.live; j.waiting.n == 0 {
		j.live = false
	} else if j.live = true; !was {
		s.live = append(s.live, ch)
	}
	s.settle(ch)
}

// startWaiting continues with the channels that still have waiters, one at a time.
func (s *Channels) startWaiting() (more bool) {
	if len(s.live) == 0 {
		return false
	}
	ch := s.live[0]
	j := s.joins[ch]
	if j != nil && j.live && !j.asked {
		channel := s.Index.Name(ch)
		if at, live := s.hub.Shared.Broker.Join(channel, &s.hub.intake); live {
			s.startSome(ch, channel, j, at, time.Now())
		} else {
			j.asked = true // the connection to Redis was lost again
		}
	}
	if j = s.joins[ch]; j == nil || !j.live || j.asked {
		if j != nil {
			j.live = false
		}
		s.live = s.live[1:]
	} else if len(s.live) > 1 {
		s.live = append(s.live[1:], ch)
	}
	return len(s.live) > 0
}

// settle releases a channel without subscribers and outstanding requests here. A Join without
// waiters is withdrawn, or channels would pile up while Redis is down; one already being answered
// is waited for.
func (s *Channels) settle(ch index.Channel) {
	if j := s.joins[ch]; j != nil {
		if j.busy > 0 {
			return
		}
		if s.Index.Subscribers(ch) == 0 {
			j.asked = j.asked && !s.hub.Shared.Broker.Withdraw(s.Index.Name(ch), &s.hub.intake)
		}
		if j.asked || j.waiting.n > 0 || j.catchup.n > 0 {
			return
		}
		delete(s.joins, ch)
	}
	if s.Index.Subscribers(ch) == 0 {
		s.hub.Shared.Broker.Leave(s.Index.Name(ch), &s.hub.intake)
		delete(s.hub.intake.overrun, ch)
		s.Index.Release(ch)
		s.Releases++
		s.sumChannels()
	}
}
