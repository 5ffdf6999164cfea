package gateway

import (
	"slices"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
)

// What clients catch up with comes in pages, and the next one is asked for when a client
// has taken the one before. One that doesn't read has a few waiting for it, of the
// channels that it asked for at once.

const (
	// crowdedBytes is what may wait for a client when a page comes: it's a page itself.
	crowdedBytes = 256 << 10
	// historyRate is how many bytes of messages a second a client is given to catch up
	// with, after historyBurst at once: who asks again and again takes it from its own.
	historyRate, historyBurst = 2 << 20, 4 << 20
	// mostDebt is how long a client may have to wait for its pace at most.
	mostDebt = 30 * time.Second
)

// crowded reports whether so much waits for a client that it must take some of that
// before it's given more to catch up with.
func (s *shard) crowded(c *conn) bool {
	return c.out != 0 && s.queues.At(c.out).Held >= crowdedBytes
}

// charge takes messages off what a client may catch up with.
func (s *shard) charge(i uint32, messages []*message.Message) {
	if len(messages) == 0 {
		return
	}
	bytes := 0
	for _, m := range messages {
		bytes += len(m.Payload)
	}
	s.paces.At(i).Charge(time.Duration(bytes)*time.Second/historyRate, s.uptime(), mostDebt)
}

// paced reports whether a client's pace allows a page.
func (s *shard) paced(i uint32) bool {
	a := s.paces.Get(i)
	return a == nil || a.Ahead(s.uptime(), mostDebt) < historyBurst*time.Second/historyRate
}

// park puts w behind the others of its client that wait for their next page. goOn has
// them ask for it, one after the other: when the client's queue is empty, when a page
// has been sent, and at each tick, for its pace.
func (s *shard) park(ch index.Channel, w *waiter) {
	s.parked[w.slot] = append(s.parked[w.slot], behind{ch, w})
}

// goOn has the first request ask that waits for a client's room and pace.
func (s *shard) goOn(i uint32) {
	list := s.parked[i]
	if len(list) == 0 {
		return
	}
	for len(list) > 0 && s.conns.at(i).out == 0 && s.paced(i) {
		b := list[0]
		list[0] = behind{}
		list = list[1:]
		if j := s.joins[b.channel]; j != nil && b.waiter.list == &j.catchup {
			s.replay(b.channel, b.waiter)
			break
		}
	}
	if len(list) > 0 {
		s.parked[i] = list
	} else {
		delete(s.parked, i)
	}
}

// mostParked is how many clients are looked at in a tick.
const mostParked = 2048

// goOnAll is goOn for all clients, or any of them where they are many.
func (s *shard) goOnAll() {
	looked := 0
	for i := range s.parked {
		if looked++; looked > mostParked {
			return
		}
		s.goOn(i)
	}
}

// largestOnLoop is how large a message of the past may be that the loop encodes: that
// takes 3 ms a MiB.
const largestOnLoop = 256 << 10

// encodeFirst has larger ones encoded elsewhere before r is sent, and reports whether
// there are any. The goroutine ends when they are encoded; nobody waits for it.
func (s *shard) encodeFirst(c *conn, ch index.Channel, w *waiter, r *fanout.Replay) bool {
	form := c.form()
	if c.kind == kindPoll {
		form = c.pollForm()
	}
	large := func(m *message.Message) bool { return len(m.Payload) > largestOnLoop && !m.IsEncoded(form) }
	if !slices.ContainsFunc(r.Messages, large) {
		return false
	}
	messages := r.Messages
	go func() {
		for _, m := range messages {
			if large(m) {
				m.Encoded(form)
			}
		}
		s.post(func() { s.replayed(ch, w, r) })
	}()
	return true
}
