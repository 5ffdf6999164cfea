package client

import (
	"errors"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/reactor"
)

// connects is a loop's part of a ramp upwards. Slots below next were opened.
type connects struct {
	l        *loop
	active   bool
	start    int64 // ns
	pace     account.Pacer
	first    uint32 // slot of the pacer's slot 0
	next     uint32
	limit    uint32
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

// share returns how many of the first n clients are this loop's.
func (d *connects) share(n int) uint32 {
	if n <= int(d.l.index) {
		return 0
	}
	return uint32((n - int(d.l.index) + int(d.l.stride) - 1) / int(d.l.stride))
}

// ramp has the loop open clients, or close the last ones, until its share of
// target is left. It runs on the loop's goroutine and returns how many are to
// be opened.
func (d *connects) ramp(target int, rate float64, inFlight int) (opening uint64) {
	limit := d.l.share(target)
	d.most = max(inFlight, 1)
	if limit < d.next {
		d.l.leaves = leaves{l: d.l, active: true, start: d.l.engine.Clock.Now(), pace: account.NewPacer(rate), first: limit, next: limit, limit: d.next}
		d.next = limit
		return 0
	}
	d.active, d.start, d.pace = true, d.l.engine.Clock.Now(), account.NewPacer(rate)
	d.first, d.limit = d.next, limit
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
	elapsed := account.Elapsed(d.l.now, d.start)
	due := d.pace.Due(elapsed)
	for k := 0; d.next < d.limit && d.inFlight < d.most && uint64(d.next-d.first) < due; k++ {
		if k == connectTurn {
			return true
		}
		slot := d.next
		d.next++
		intended := int64(0)
		if d.pace.Rate > 0 {
			at := d.pace.At(uint64(slot - d.first))
			d.l.late(elapsed - at)
			intended = d.start + int64(at)
		}
		d.l.open(reopen{slot: slot, due: intended})
	}
	d.active = d.next < d.limit
	return false
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
	d.l.dial(slot)
}

// dial begins the connection of a client.
func (d *connects) dial(slot uint32) {
	s := d.l.scratch(slot)
	s.started = d.l.engine.Clock.Now()
	s.deadline = s.started + int64(d.l.plan.Timeout)
	d.l.connect(slot)
}

// connect begins the connection itself.
func (d *connects) connect(slot uint32) {
	c := &d.l.clients[slot]
	fd, err := d.l.socket(slot)
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

func (d *connects) socket(slot uint32) (fd int, err error) {
	if path := d.l.plan.Target.Socket; path != "" {
		return reactor.ConnectUnix(path, d.l.dialOptions(slot))
	}
	from, to := d.l.plan.Ends(d.l.number(slot))
	return reactor.Connect(from, to, d.l.dialOptions(slot))
}

// redial tries those again that found the listen queue of a unix socket full.
func (d *connects) redial() {
	again := d.redials
	d.redials = nil
	for _, k := range again {
		if c := &d.l.clients[k.Slot]; c.gen == k.Gen && c.fd < 0 && (c.state == connecting || c.state == renewing) {
			d.l.connect(k.Slot)
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
	if d.l.secure.config != nil {
		d.l.startTLS(slot)
		return
	}
	d.l.established(slot)
}

// established sends the first request over a connection.
func (d *connects) established(slot uint32) {
	c := &d.l.clients[slot]
	if c.state == renewing {
		d.l.renewed(slot)
		return
	}
	c.state = opening
	if d.l.send(slot, d.l.transport(slot).appendRequest(d.l, d.l.out[:0], slot)) && c.flags&wantsOut == 0 {
		d.l.watch(slot, reactor.In)
	}
}

// opened books a complete handshake.
func (l *loop) opened(slot uint32) {
	c := &l.clients[slot]
	c.state = joining
	l.counters.Established++
	l.counters.Open++
	l.connects.inFlight--
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
		d.l.reopens.add(reopen{at: d.l.now + int64(after), slot: slot, kind: renewal})
		return
	}
	d.l.dial(slot)
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

func (d *connects) dialOptions(slot uint32) (o reactor.DialOptions) {
	if d.l.clients[slot].flags&slow != 0 {
		o.ReceiveBuffer = slowBuffer
	}
	return o
}
