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
	s.Admission.endStalled()
}

// Now returns the present tick.
func (t *Clock) Now() uint32 { return t.now }

// Set has the handler called at a tick, in place of any earlier deadline.
func (t *Clock) Set(i, at uint32) { t.wheel.Set(i, at) }

// Forward brings a connection's deadline, if it has one, forward to a tick.
func (t *Clock) Forward(i, at uint32) {
	if due, ok := t.wheel.Due(i); ok && int32(due-at) > 0 {
		t.wheel.Set(i, at)
	}
}

// Clear removes a connection's deadline.
func (t *Clock) Clear(i uint32) { t.wheel.Cancel(i) }

// Due returns the tick of a connection's deadline, if it has one.
func (t *Clock) Due(i uint32) (at uint32, ok bool) { return t.wheel.Due(i) }

// Spread returns a tick within an interval from now, so that the deadlines of many are even.
func (t *Clock) Spread(interval uint32) uint32 { return t.wheel.Spread(interval) }

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
func (t *Clock) wakeUp() {
	t.awake = true
	if now := t.set.shared.TickOf(time.Now()); int32(now-t.now) > 1 {
		t.now = now
	}
}

// settled reports whether deadlines may be enforced. After a stall of the loop, as when the machine
// was suspended, the requests and pongs of that time are still in the sockets: each socket is read
// first, or clients that met their deadlines would be closed.
func (t *Clock) settled() bool {
	if t.stalled == 0 && t.behind() {
		// One more round for newly accepted connections.
		t.stalled = 2 + t.set.Slots.used/EventsPerRound
	} else if t.stalled > 0 && t.set.loop.AllTold() {
		t.stalled--
	}
	return t.stalled == 0
}

// behind reports whether the loop has stood, so that what clients have sent in time may still be in
// their sockets.
func (t *Clock) behind() bool { return t.stalled > 0 || t.now-t.wheel.Now() > 1 }

// due handles the expiry of a connection's deadline.
func (s *Set) due(i uint32) {
	switch c := s.Slots.at(i); {
	case c.state != stateOpen:
		s.drop(i, c)
	case c.flags&flagDemoted != 0:
		s.Clock.wheel.Set(i, s.Clock.now+1) // the awaited bytes may still be unread
	case c.flags&flagShaking != 0:
		s.Secure.due(i, c)
	case c.flags&flagRejected != 0:
		s.Acceptor.respondTLS(i, nil, true)
	case c.flags&(flagSilent|flagPartial) == flagSilent|flagPartial:
		s.Secure.endPartial(i, c)
	default:
		s.handler.Due(i)
	}
}

// hear notes a sign of life.
func (s *Set) hear(c *socket) { c.heard = s.Clock.now }
