package conn

import (
	"time"

	"github.com/pushgate/pushgate/heartbeat"
)

// Tick is the resolution of all connection deadlines.
const Tick = 100 * time.Millisecond

// wheelSize is the number of buckets of a loop's wheel: 51 s, so that the usual heartbeats and
// waits fit into one turn.
const wheelSize = 512

// beatsPerSlice is the number of due connections handled before the next poll for events: about 500
// us of pings.
const beatsPerSlice = 64

// Ticks returns d in ticks, at least one.
func Ticks(d time.Duration) uint32 {
	return max(1, uint32((d+Tick-1)/Tick))
}

// Clock is a loop's time in ticks, and the deadlines of its connections.
type Clock struct {
	set     *Set
	now     uint32
	wheel   *heartbeat.Wheel
	awake   bool // an event of this round was handled
	stalled int  // rounds until deadlines are enforced again, after a stall
}

// Tick is called by the server's ticker, on the loop: it sets the clock, and does what waits for
// it.
func (s *Set) Tick(now uint32) {
	if int32(now-s.Clock.now) > 0 {
		s.Clock.now = now
	}
	s.shed() // another loop may have pushed the total over its bound
	s.Input.shed()
	s.Acceptor.resume()
	s.Acceptor.closeRejected()
}

// Now returns the present tick.
func (s *Clock) Now() uint32 { return s.now }

// Set has the handler called at a tick, in place of any earlier deadline.
func (s *Clock) Set(i, at uint32) { s.wheel.Set(i, at) }

// Clear removes a connection's deadline.
func (s *Clock) Clear(i uint32) { s.wheel.Cancel(i) }

// Due returns the tick of a connection's deadline, if it has one.
func (s *Clock) Due(i uint32) (at uint32, ok bool) { return s.wheel.Due(i) }

// Len returns the number of connections with a deadline.
func (s *Clock) Len() int { return s.wheel.Len() }

// Spread returns a tick within an interval from now, so that the deadlines of many are even.
func (s *Clock) Spread(interval uint32) uint32 { return s.wheel.Spread(interval) }

// Advance handles the deadlines that have passed, a slice of them, in each turn of the loop.
func (s *Set) Advance() (more bool) {
	s.Clock.awake = false
	if !s.Clock.settled() {
		return true
	}
	_, more = s.Clock.wheel.Advance(s.Clock.now, beatsPerSlice, s.onDue)
	return more
}

// EventsPerRound is the number of sockets that the kernel reports at once.
const EventsPerRound = 512

// wakeUp sets the clock before the first event of a round is handled. After a stall its ticks are
// still pending, and new deadlines would start in the past.
func (s *Clock) wakeUp() {
	s.awake = true
	if now := s.set.shared.TickOf(time.Now()); int32(now-s.now) > 1 {
		s.now = now
	}
}

// settled reports whether deadlines may be enforced. After a stall of the loop, as when the machine
// was suspended, the requests and pongs of that time are still in the sockets: each socket is read
// first, or clients that met their deadlines would be closed.
func (s *Clock) settled() bool {
	if s.stalled == 0 && s.now-s.wheel.Now() > 1 {
		// One more round for newly accepted connections.
		s.stalled = 2 + s.set.Slots.used/EventsPerRound
	} else if s.stalled > 0 && s.set.loop.AllTold() {
		s.stalled--
	}
	return s.stalled == 0
}

// due handles the expiry of a connection's deadline.
func (s *Set) due(i uint32) {
	switch c := s.Slots.at(i); {
	case c.state == stateClosing:
		s.drop(i, c)
	case c.flags&flagDemoted != 0:
		s.Clock.wheel.Set(i, s.Clock.now+1) // its unread bytes may be what it waits for
	default:
		s.handler.Due(i)
	}
}

// hear notes a sign of life.
func (s *Set) hear(c *socket) { c.heard = s.Clock.now }
