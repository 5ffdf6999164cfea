package conn

import "time"

// Tick is the resolution of all connection deadlines.
const Tick = 100 * time.Millisecond

// wheelSize is the number of buckets of a shard's wheel: 51 s, so that the usual heartbeats and
// waits fit into one turn.
const wheelSize = 512

// beatsPerSlice is the number of due connections handled before the next poll for events: about 500
// us of pings.
const beatsPerSlice = 64

// Ticks returns d in ticks, at least one.
func Ticks(d time.Duration) uint32 {
	return max(1, uint32((d+Tick-1)/Tick))
}

// Tick is called by the server's ticker, on the loop: it sets the clock, and does what waits for
// it.
func (s *Set) Tick(now uint32) {
	if int32(now-s.now) > 0 {
		s.now = now
	}
	s.shed() // another loop may have pushed the total over its bound
	s.Input.shed()
	s.resumeAccept()
	s.closeRejected()
}

// Now returns the present tick.
func (s *Set) Now() uint32 { return s.now }

// SetDeadline has the handler called at a tick, in place of any earlier deadline.
func (s *Set) SetDeadline(i, at uint32) { s.wheel.Set(i, at) }

// ClearDeadline removes a connection's deadline.
func (s *Set) ClearDeadline(i uint32) { s.wheel.Cancel(i) }

// Deadline returns the tick of a connection's deadline, if it has one.
func (s *Set) Deadline(i uint32) (at uint32, ok bool) { return s.wheel.Due(i) }

// Deadlines returns the number of connections with a deadline.
func (s *Set) Deadlines() int { return s.wheel.Len() }

// Spread returns a tick within an interval from now, so that the deadlines of many are even.
func (s *Set) Spread(interval uint32) uint32 { return s.wheel.Spread(interval) }

// Advance handles the deadlines that have passed, a slice of them, in each turn of the loop.
func (s *Set) Advance() (more bool) {
	s.awake = false
	if !s.settled() {
		return true
	}
	_, more = s.wheel.Advance(s.now, beatsPerSlice, s.onDue)
	return more
}

// EventsPerRound is the number of sockets that the kernel reports at once.
const EventsPerRound = 512

// wakeUp sets the clock before the first event of a round is handled. After a stall its ticks are
// still pending, and new deadlines would start in the past.
func (s *Set) wakeUp() {
	s.awake = true
	if now := s.shared.TickOf(time.Now()); int32(now-s.now) > 1 {
		s.now = now
	}
}

// settled reports whether deadlines may be enforced. After a stall of the loop, as when the machine
// was suspended, the requests and pongs of that time are still in the sockets: each socket is read
// first, or clients that met their deadlines would be closed.
func (s *Set) settled() bool {
	if s.stalled == 0 && s.now-s.wheel.Now() > 1 {
		// One more round for newly accepted connections.
		s.stalled = 2 + s.slots.used/EventsPerRound
	} else if s.stalled > 0 && s.loop.AllTold() {
		s.stalled--
	}
	return s.stalled == 0
}

// due handles the expiry of a connection's deadline.
func (s *Set) due(i uint32) {
	switch c := s.slots.at(i); {
	case c.state == stateClosing:
		s.drop(i, c)
	case c.flags&flagDemoted != 0:
		s.wheel.Set(i, s.now+1) // its unread bytes may be what it waits for
	default:
		s.handler.Due(i)
	}
}

// hear notes a sign of life.
func (s *Set) hear(c *socket) { c.heard = s.now }
