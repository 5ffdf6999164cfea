package client

import (
	"bytes"
	"errors"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/reactor"
)

// course goes over slots at a pace, from first up to limit.
type course struct {
	active bool
	start  int64 // ns
	pace   account.Pacer
	first  uint32 // slot of the pacer's slot 0
	next   uint32
	limit  uint32
}

// due reports whether the next slot's time has come.
func (c *course) due(now int64) bool {
	return c.next < c.limit && uint64(c.next-c.first) < c.pace.Due(account.Elapsed(now, c.start))
}

// connects is a loop's part of a ramp upwards. Slots below next were opened.
type connects struct {
	l *loop
	course
	inFlight int
	most     int
	// Connects to a unix socket that are to be tried again.
	redials []reactor.Key
}

// connectTurn is how many connects one turn starts, about 2 ms.
const connectTurn = 32

// giveUpAfter is how many failures without a single success it takes to see
// that the rest would fail too, at least.
const giveUpAfter = 10

// ramp has the loop open clients, or close the last ones, until its share of
// target is left. It runs on the loop's goroutine and returns how many are to
// be opened.
func (d *connects) ramp(target int, rate float64, inFlight int) (opening uint64) {
	limit := uint32(plan.Share(target, int(d.l.index), int(d.l.stride)))
	d.most = max(inFlight, 1)
	c := course{active: true, start: d.l.engine.Clock.Now(), pace: account.Pacer{Rate: rate}, first: d.next, next: d.next, limit: limit}
	if limit < d.next {
		c.first, c.next, c.limit = limit, limit, d.next
		d.l.leaves.course, d.l.leaves.cut = c, false
		d.next = limit
		return 0
	}
	d.course = c
	return uint64(limit - d.first)
}

// connectSlice starts the connects that are due and fit.
func (d *connects) connectSlice() (more bool) {
	if !d.active {
		return false
	}
	if d.l.counters.Established == 0 && d.l.counters.Failed >= uint64(max(d.most, giveUpAfter)) {
		d.l.counters.Untried += uint64(d.limit - d.next)
		d.limit = d.next
	}
	for k := 0; d.inFlight < d.most && d.due(d.l.now); k++ {
		if k == connectTurn {
			return true
		}
		x := reopen{slot: d.next}
		d.next++
		if d.pace.Rate > 0 {
			at := d.pace.At(uint64(x.slot - d.first))
			d.late(account.Elapsed(d.l.now, d.start) - at)
			x.due = d.start + int64(at)
		}
		d.open(x)
	}
	d.active = d.next < d.limit
	return false
}

// late counts a slot of connecting that was begun after its time.
func (d *connects) late(by time.Duration) {
	if by > account.LateAfter {
		d.l.counters.LateConnects++
	}
}

// open starts one connection.
func (d *connects) open(x reopen) {
	slot := x.slot
	c := &d.l.clients[slot]
	if c.state == closing {
		d.l.end(slot, "") // the server still owes its end of the stream
	}
	*c = client{gen: c.gen + 1, state: connecting, flags: c.flags & lasting, pending: uint16(d.l.plan.ChannelSet.PerClient())}
	d.l.counters.Attempted++
	d.inFlight++
	s := d.l.scratch(slot)
	s.due, s.first, s.again, s.attempt, s.resume = x.due, x.first, x.again, x.attempt, x.resume
	d.dial(slot)
}

// dial begins the connection of a client.
func (d *connects) dial(slot uint32) {
	s := d.l.scratch(slot)
	s.started = d.l.engine.Clock.Now()
	s.deadline = s.started + int64(d.l.plan.Timeout)
	d.connect(slot)
}

// connect begins the connection itself.
func (d *connects) connect(slot uint32) {
	c := &d.l.clients[slot]
	var o reactor.DialOptions
	if c.flags&slow != 0 {
		o.ReceiveBuffer = slowBuffer
	}
	var fd int
	var err error
	if path := d.l.plan.Target.Socket; path != "" {
		fd, err = reactor.ConnectUnix(path, o)
	} else {
		from, to := d.l.plan.Ends(d.l.number(slot))
		fd, err = reactor.Connect(from, to, o)
	}
	if d.l.plan.Target.Socket != "" && errors.Is(err, syscall.EAGAIN) {
		// Where TCP would try again by itself.
		c.fd = -1
		d.redials = append(d.redials, reactor.Key{Slot: slot, Gen: c.gen})
		return
	}
	c.fd = int32(fd)
	if err != nil {
		d.l.end(slot, account.SocketReason(err))
		return
	}
	if err := d.l.reactor.Add(fd, reactor.Key{Slot: slot, Gen: c.gen}, reactor.Out); err != nil {
		d.l.end(slot, account.ReasonUnregistered)
	}
}

// redial tries those again that found the listen queue of a unix socket full.
func (d *connects) redial() {
	again := d.redials
	d.redials = nil
	for _, k := range again {
		if c := &d.l.clients[k.Slot]; c.gen == k.Gen && c.fd < 0 && (c.state == connecting || c.state == renewing) {
			d.connect(k.Slot)
		}
	}
}

// connected goes on once the TCP connection stands.
func (d *connects) connected(slot uint32) {
	c := &d.l.clients[slot]
	if err := reactor.SocketError(int(c.fd)); err != nil {
		d.l.end(slot, account.SocketReason(err))
		return
	}
	if d.l.secure.conns != nil {
		d.l.startTLS(slot)
		return
	}
	d.established(slot)
}

// established sends the first request over a connection.
func (d *connects) established(slot uint32) {
	c := &d.l.clients[slot]
	if c.state == renewing {
		d.renewed(slot)
		return
	}
	c.state = opening
	if d.l.send(slot, d.l.transport(slot).appendRequest(d.l, d.l.out[:0], slot)) && c.flags&wantsOut == 0 {
		d.l.watch(slot, reactor.In)
	}
}

// answered gathers the answer to a handshake; false: its head is not whole, or it is not the
// wanted one. rest came behind the head.
func (d *connects) answered(slot uint32, p []byte, status int) (h head, rest []byte, ok bool) {
	s := d.l.scratch(slot)
	s.in = append(s.in, p...)
	h, n, ok := parseHead(s.in)
	rest = s.in[n:]
	switch {
	case !ok:
		d.l.end(slot, foreignAnswer(s.in))
	case n > 0 && h.status != status:
		d.l.refuse(slot, h, rest, false)
	}
	return h, rest, n > 0 && h.status == status
}

// accepted goes on with a client whose answer is a good one. It returns the rest in memory of
// its own.
func (d *connects) accepted(slot uint32, h head, rest []byte) []byte {
	d.l.foundProxy(h.intermediary())
	rest = bytes.Clone(rest)
	s := d.l.scratch(slot)
	s.in = s.in[:0]
	d.l.opened(slot)
	return rest
}

// opened books a complete handshake.
func (l *loop) opened(slot uint32) {
	c := &l.clients[slot]
	c.state = joining
	l.counters.Established++
	l.counters.Open++
	l.inFlight--
	s := l.heldScratch(slot)
	account.Record(l.recorder[account.OfHandshake], l.now-s.started)
	if s.due > 0 {
		account.Record(l.recorder[account.OfHandshakeDue], l.now-s.due)
	}
}

// knows reports whether a client was ready before.
func (l *loop) knows(slot uint32) bool { return l.wasReady[slot/64]&(1<<(slot%64)) != 0 }

// confirmed books n confirmed channels of a client.
func (l *loop) confirmed(slot uint32, n int) {
	c := &l.clients[slot]
	if c.state != joining {
		return
	}
	if n < int(c.pending) {
		c.pending -= uint16(n)
		return
	}
	c.pending = 0
	c.state = ready
	l.counters.Ready++
	if !l.knows(slot) {
		l.counters.Clients++
		if a := l.at(slot); a != nil {
			a.Clients++
		}
		l.wasReady[slot/64] |= 1 << (slot % 64)
	}
	s := l.heldScratch(slot)
	if !l.plan.Foreign { // which confirms nothing
		account.Record(l.recorder[account.OfReady], l.now-s.started)
	}
	s.deadline = 0
	l.markReady(slot, s.again)
	if l.slowReaders.active && c.flags&slow != 0 {
		l.watch(slot, 0)
	}
}

// renew gives a ready poll a new connection, after a while if the server wants
// that: the answer has ended the old one, which is how HTTP/1.1 works and no
// loss. nginx does so after keepalive_requests.
func (d *connects) renew(slot uint32, after time.Duration) {
	c := &d.l.clients[slot]
	d.l.closeSocket(slot)
	c.gen, c.state, c.flags = c.gen+1, renewing, c.flags&lasting
	if after > 0 {
		d.l.reopenLater(reopen{at: d.l.now + int64(after), slot: slot, kind: renewal})
		return
	}
	d.dial(slot)
}

// renewed sends the next poll once the new connection stands.
func (d *connects) renewed(slot uint32) {
	c := &d.l.clients[slot]
	c.state = ready
	d.l.heldScratch(slot).deadline = 0
	if d.l.send(slot, (poll{}).appendNext(d.l, d.l.out[:0], slot, d.l.position(slot))) && c.flags&wantsOut == 0 && d.l.watch(slot, d.l.reads(slot)) {
		d.l.tidy(slot)
	}
}
