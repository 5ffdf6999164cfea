package conn

import (
	"runtime"
	"slices"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Admission decides when the handshakes of a loop's clients begin. Each takes 31 to 43 KB of memory
// while it lasts, so their number is bounded: further clients wait for a place with nothing but their
// hello, and get one in the order in which they have come.
type Admission struct {
	set     *Set
	running int           // handshakes in flight, of closed connections as well
	waiting []reactor.Key // clients with a whole hello, the oldest first, and some that are gone
	live    int           // of them, with flagWaiting
}

// Handshakes returns the number of handshakes in flight and of clients that wait for theirs.
func (a *Admission) Handshakes() (running, waiting int) { return a.running, a.live }

// hasPlace reports whether one more handshake may begin: the set has its share of
// Options.Handshakes.
func (a *Admission) hasPlace() bool {
	return a.running < max(1, a.set.options.Handshakes/len(a.set.shared.sets))
}

// enqueue has a client wait for a place.
func (a *Admission) enqueue(i uint32, c *socket) {
	c.flags |= flagWaiting
	a.live++
	if c.flags&flagRejected == 0 {
		a.set.Clock.Clear(i) // it isn't the client that is late
	}
	a.waiting = append(a.waiting, a.set.Slots.Key(i))
}

// dequeue has a client wait no more, which has got a place or is gone. Of the latter the list keeps
// as many as of others at most.
func (a *Admission) dequeue(c *socket) {
	if c.flags&flagWaiting == 0 {
		return
	}
	c.flags &^= flagWaiting
	if a.live--; a.live == 0 {
		a.waiting = nil
	} else if len(a.waiting) > 2*a.live {
		a.waiting = slices.DeleteFunc(a.waiting, func(k reactor.Key) bool { return !a.isWaiting(k) })
	}
}

// isWaiting reports whether a client of the list still waits.
func (a *Admission) isWaiting(k reactor.Key) bool {
	c := a.set.Slots.find(k.Slot, k.Gen)
	return c != nil && c.flags&flagWaiting != 0
}

// leave gives up the place of a handshake.
func (a *Admission) leave() {
	a.running--
	a.admit()
}

// admit begins the handshakes for which there are places now.
func (a *Admission) admit() {
	for a.live > 0 && a.hasPlace() {
		k := a.waiting[0]
		a.waiting = a.waiting[1:]
		if a.isWaiting(k) {
			c := a.set.Slots.at(k.Slot)
			a.dequeue(c)
			a.set.Secure.start(k.Slot, c, a.set.Input.Kept(k.Slot), true)
		}
	}
}

// stalledTicks is how long a client may take for a response while others wait for its place: more
// than a phone's round trip.
const stalledTicks = 20

// endStalled ends handshakes whose clients don't respond while others wait for a place. Otherwise a
// client could hold one for limits.head_timeout with a single packet.
func (a *Admission) endStalled() {
	if a.live == 0 || a.set.Clock.behind() {
		return
	}
	t := &a.set.Secure
	for i, h := range t.handshakes {
		if c := t.of(h); c != nil && c.flags&flagDemoted == 0 && h.blocked() && a.set.Clock.now-h.asked > stalledTicks {
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
