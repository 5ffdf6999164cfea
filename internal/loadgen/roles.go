package loadgen

import (
	"math"
	"math/rand/v2"

	"github.com/pushgate/pushgate/internal/reactor"
)

// rolesSeed makes the choice of clients the same in every run, and on all
// machines that share one.
const rolesSeed = 0x70757368

// slowBuffer is the receive buffer of a slow client, so that it falls behind
// by what the server holds and not by what its own kernel does.
const slowBuffer = 4096

// cast is who plays which part, by the client's number.
type cast struct {
	movers, slow int   // how many
	order        []int // the movers first, then the slow ones; nil when there are neither
}

// newCast chooses the clients at random, so that no pattern of channels falls
// together with it.
func newCast(clients int, moving, slow float64) cast {
	c := cast{movers: int(math.Round(moving * float64(clients))), slow: int(math.Round(slow * float64(clients)))}
	c.slow = min(c.slow, clients-c.movers)
	if c.movers+c.slow > 0 {
		c.order = rand.New(rand.NewPCG(rolesSeed, uint64(clients))).Perm(clients)[:c.movers+c.slow]
	}
	return c
}

// assign gives a loop's clients their parts.
func (l *loop) assign(c cast) {
	for k, number := range c.order {
		if uint32(number)%l.stride != l.index {
			continue
		}
		part := &l.clients[uint32(number)/l.stride]
		if k < c.movers {
			part.flags |= moving
			l.movers = append(l.movers, uint32(number)/l.stride)
		} else {
			part.flags |= slow
			l.slow.slots = append(l.slow.slots, uint32(number)/l.stride)
		}
	}
}

func (l *loop) dialOptions(slot uint32) (o reactor.DialOptions) {
	if l.clients[slot].flags&slow != 0 {
		o.ReceiveBuffer = slowBuffer
	}
	return o
}

// rose books that a client has become ready; again: not for the first time.
func (l *loop) rose(slot uint32, again bool) {
	l.up++
	if l.clients[slot].flags&moving != 0 {
		l.moversUp++
	}
	switch {
	case l.front.isAway(slot):
		l.counters.ProxyReturned++
		l.forget(slot)
	case again:
		l.counters.Returned++
	}
}

// fell books that a ready client no longer is.
func (l *loop) fell(slot uint32) {
	l.unhear(slot)
	l.up--
	if l.clients[slot].flags&moving != 0 {
		l.moversUp--
	}
}
