package loadgen

import (
	"pushgate/internal/reactor"
)

// connects is a loop's part of a connect phase.
type connects struct {
	active   bool
	start    int64 // ns
	pace     Pacer
	first    uint32 // slot of the pacer's slot 0
	next     uint32
	limit    uint32
	inFlight int
	most     int
}

// connectTurn is how many connects one turn starts, about 2 ms.
const connectTurn = 32

// giveUpAfter is how many failures without a single success it takes to see
// that the rest would fail too, at least.
const giveUpAfter = 10

// connect has the loop open its clients. It runs on the loop's goroutine.
func (l *loop) connect(rate float64, inFlight int) {
	l.connects = connects{
		active: true,
		start:  l.engine.now(),
		pace:   NewPacer(rate),
		limit:  uint32(len(l.clients)),
		most:   max(inFlight, 1),
	}
}

// connectSlice starts the connects that are due and fit.
func (l *loop) connectSlice() (more bool) {
	c := &l.connects
	if !c.active {
		return false
	}
	if l.counters.Established == 0 && l.counters.Failed >= uint64(max(c.most, giveUpAfter)) {
		l.counters.Untried += uint64(c.limit - c.next)
		c.limit = c.next
	}
	due := c.pace.Due(timeSince(l.now, c.start))
	for k := 0; c.next < c.limit && c.inFlight < c.most && uint64(c.next-c.first) < due; k++ {
		if k == connectTurn {
			return true
		}
		slot := c.next
		c.next++
		l.open(slot)
	}
	c.active = c.next < c.limit
	return false
}

// open starts one connection.
func (l *loop) open(slot uint32) {
	c := &l.clients[slot]
	*c = client{gen: c.gen + 1, state: connecting, pending: uint16(l.plan.channels.PerClient())}
	l.counters.Attempted++
	l.connects.inFlight++
	started := l.engine.now()
	fd, err := reactor.Connect(l.plan.source(l.number(slot)), l.plan.target.Addr, reactor.DialOptions{})
	c.fd = int32(fd)
	if err != nil {
		l.end(slot, socketReason(err))
		return
	}
	s := l.borrow(slot)
	s.started, s.deadline = started, started+int64(l.plan.Timeout)
	if err := l.reactor.Add(fd, reactor.Key{Slot: slot, Gen: c.gen}, reactor.Out); err != nil {
		l.end(slot, ReasonUnregistered)
	}
}

// connected sends the request once the TCP connection stands.
func (l *loop) connected(slot uint32) {
	c := &l.clients[slot]
	if err := reactor.SocketError(int(c.fd)); err != nil {
		l.end(slot, socketReason(err))
		return
	}
	c.state = opening
	if l.send(slot, l.transport.appendRequest(l.out[:0], l.number(slot))) && c.flags&wantsOut == 0 {
		l.watch(slot, reactor.In)
	}
}

// opened books a complete handshake.
func (l *loop) opened(slot uint32) {
	c := &l.clients[slot]
	c.state = joining
	l.counters.Established++
	l.counters.Open++
	l.connects.inFlight--
	record(l.recorder.handshake, l.now-l.held(slot).started)
}

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
	s := l.held(slot)
	record(l.recorder.ready, l.now-s.started)
	s.deadline = 0
}
