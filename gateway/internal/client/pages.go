package client

import (
	"slices"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
)

// Clients catch up in pages, and the next page is requested when a client has taken the previous
// one. A client that doesn't read has at most a few pages pending, of channels that it subscribed
// to together.

const (
	// CrowdedBytes is the backlog that defers a client's next page: the size of a page itself.
	CrowdedBytes = 256 << 10
	// historyRate is the bytes of messages a second that a client gets to catch up with, after
	// historyBurst at once: repeated requests use up the client's own rate.
	historyRate, historyBurst = 2 << 20, 4 << 20
	// mostDebt bounds the wait for a client's rate.
	mostDebt = 30 * time.Second
)

// crowded reports whether a client's backlog defers its next page.
func (u *catchUps) crowded(i uint32) bool {
	return u.hub.Conns.Out.Queued(i) && u.hub.Conns.Out.Queue(i).Held >= CrowdedBytes
}

// charge charges a client's catch-up rate for messages.
func (u *catchUps) charge(i uint32, messages []*message.Message) {
	if len(messages) == 0 {
		return
	}
	bytes := 0
	for _, m := range messages {
		bytes += len(m.Payload)
	}
	u.paces.At(i).Charge(time.Duration(bytes)*time.Second/historyRate, u.hub.Limits.Uptime(), mostDebt)
}

// paced reports whether a client's catch-up rate allows a page.
func (u *catchUps) paced(i uint32) bool {
	a := u.paces.Get(i)
	return a == nil || a.Ahead(u.hub.Limits.Uptime(), mostDebt) < historyBurst*time.Second/historyRate
}

// park queues w behind its client's other requests waiting for a page. nextPage resumes them, one after
// the other: when the client's queue is empty, when a page has been sent, and at each tick, for its
// rate.
func (u *catchUps) park(ch index.Channel, w *Request) {
	u.parked[w.Slot] = append(u.parked[w.Slot], behind{ch, w})
}

// nextPage requests a page for the first parked request of a client, if its queue and rate allow.
func (u *catchUps) nextPage(i uint32) {
	list := u.parked[i]
	if len(list) == 0 {
		return
	}
	for len(list) > 0 && !u.hub.Conns.Out.Queued(i) && u.paced(i) {
		b := list[0]
		list[0] = behind{}
		list = list[1:]
		if j := u.hub.Channels.joins[b.channel]; j != nil && b.waiter.list == &j.catchup {
			u.replay(b.channel, b.waiter)
			break
		}
	}
	if len(list) > 0 {
		u.parked[i] = list
	} else {
		delete(u.parked, i)
	}
}

// mostParked is the number of clients visited in a tick.
const mostParked = 2048

// nextPages is nextPage for all clients, or a random part if they are many.
func (u *catchUps) nextPages() {
	looked := 0
	for i := range u.parked {
		if looked++; looked > mostParked {
			return
		}
		u.nextPage(i)
	}
}

// largestOnLoop is the size of the largest replayed message that the loop encodes itself: encoding
// takes 3 ms a MiB.
const largestOnLoop = 256 << 10

// encodeFirst encodes larger messages on a goroutine before r is sent, and reports whether there
// are any. The goroutine ends when they are encoded; nobody waits for it.
func (u *catchUps) encodeFirst(ch index.Channel, w *Request, r *fanout.Replay) bool {
	form := u.hub.FormOf(w.Slot)
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
		u.hub.Post(func() { u.replayed(ch, w, r) })
	}()
	return true
}

// forget forgets a closed client.
func (u *catchUps) forget(i uint32) {
	u.paces.Clear(i)
	delete(u.parked, i)
}
