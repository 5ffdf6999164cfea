package conn

import (
	"runtime"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Admission decides when the handshakes of a loop's clients begin. Each takes 31 to 43 KB of memory
// while it lasts, so their number is bounded: further clients wait for a place with nothing but their
// hello, and get one in the order in which they have come.
type Admission struct {
	set     *Set
	running int           // handshakes in flight, of closed connections as well
	waiting []reactor.Key // clients with a whole hello, the oldest first; some may be gone
}

// Handshakes returns the number of handshakes in flight and of clients that wait for theirs.
func (a *Admission) Handshakes() (running, waiting int) { return a.running, len(a.waiting) }

// hasPlace reports whether one more handshake may begin: the set has its share of
// Options.Handshakes.
func (a *Admission) hasPlace() bool {
	return a.running < max(1, a.set.options.Handshakes/len(a.set.shared.sets))
}

// enqueue has a client wait for a place.
func (a *Admission) enqueue(i uint32, c *socket) {
	c.flags |= flagWaiting
	if c.flags&flagRejected == 0 {
		a.set.Clock.Clear(i) // it isn't the client that is late
	}
	a.waiting = append(a.waiting, a.set.Slots.Key(i))
}

// leave gives up the place of a handshake, and begins those for which there are places now.
func (a *Admission) leave() {
	a.running--
	for len(a.waiting) > 0 && a.hasPlace() {
		k := a.waiting[0]
		if a.waiting = a.waiting[1:]; len(a.waiting) == 0 {
			a.waiting = nil
		}
		c := a.set.Slots.find(k.Slot, k.Gen)
		if c == nil || c.state != stateOpen {
			continue
		}
		c.flags &^= flagWaiting
		a.set.Secure.start(k.Slot, c, a.set.Input.Kept(k.Slot), true)
	}
}

// stalledTicks is how long a client may take for a response while others wait for its place: more
// than a phone's round trip.
const stalledTicks = 20

// endStalled ends handshakes whose clients don't respond while others wait for a place. Otherwise a
// client could hold one for limits.head_timeout with a single packet.
func (a *Admission) endStalled() {
	if len(a.waiting) == 0 {
		return
	}
	t := &a.set.Secure
	for i, h := range t.handshakes {
		if c := t.of(h); c != nil && h.blocked.Load() && a.set.Clock.now-h.asked > stalledTicks {
			t.fail(i, c, reasons.TLSTimeout)
		}
	}
}

// tokens are held by the handshakes that compute. They are sent and received by the goroutines of
// handshakes.
type tokens chan struct{}

// newTokens returns one token less than there are loops, or processors if these are fewer, so that
// the loops get their processors; but at least one.
func newTokens(loops int) tokens {
	return make(tokens, max(1, min(runtime.NumCPU(), loops)-1))
}

// take waits for a token.
func (t tokens) take() { t <- struct{}{} }

// give gives a token back.
func (t tokens) give() { <-t }
