package loadgen

import (
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// renew gives a ready poll a new connection, after a while if the server wants
// that: the answer has ended the old one, which is how HTTP/1.1 works and no
// loss. nginx does so after keepalive_requests.
func (l *loop) renew(slot uint32, after time.Duration) {
	c := &l.clients[slot]
	l.hangUp(slot)
	c.gen, c.state, c.flags = c.gen+1, renewing, c.flags&lasting
	if after > 0 {
		l.reopens.add(reopen{at: l.now + int64(after), slot: slot, kind: renewal})
		return
	}
	l.dial(slot)
}

// renewed sends the next poll once the new connection stands.
func (l *loop) renewed(slot uint32) {
	c := &l.clients[slot]
	c.state = ready
	l.held(slot).deadline = 0
	if l.send(slot, (poll{}).appendNext(l, l.out[:0], slot, l.position(slot))) && c.flags&wantsOut == 0 && l.watch(slot, l.reads(slot)) {
		l.tidy(slot)
	}
}

// hangUp closes a client's socket and frees what it held.
func (l *loop) hangUp(slot uint32) {
	c := &l.clients[slot]
	if l.wires.config != nil {
		l.unsecure(slot)
	}
	if c.fd >= 0 {
		reactor.CloseFD(int(c.fd))
	}
	l.giveBack(slot)
	c.fd = -1
}
