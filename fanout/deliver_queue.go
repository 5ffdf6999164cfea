package fanout

import "unsafe"

// deliveryBytes is what a channel with pending messages counts besides these: its
// delivery, and a place in the tables of deliveries and of turns, which double.
const deliveryBytes = int(unsafe.Sizeof(delivery{})) + 4*pointerBytes

const (
	// idleDeliveries is how many delivery records are kept for reuse once
	// nothing is pending; a burst over a million channels leaves 1024.
	idleDeliveries = 1024
	// idleBacklog is the capacity for messages that a kept record may have.
	idleBacklog = 256
)

// newDelivery returns the number of an empty delivery.
func (x *Index) newDelivery(ch Channel) uint32 {
	var n uint32
	if last := len(x.freeDelivery) - 1; last >= 0 {
		n = x.freeDelivery[last]
		x.freeDelivery = x.freeDelivery[:last]
	} else {
		n = uint32(len(x.deliveries))
		x.deliveries = append(x.deliveries, &delivery{})
	}
	x.deliveries[n].channel = ch
	return n
}

// endDelivery takes a delivery that has nothing left off its channel, and
// completes a Release that waited for it.
func (x *Index) endDelivery(n uint32) {
	d := x.deliveries[n]
	ch := d.channel
	x.pendingBytes -= deliveryBytes
	if cap(d.messages) > idleBacklog {
		d.messages = nil
	}
	d.channel, d.next = 0, 0
	x.freeDelivery = append(x.freeDelivery, n)
	if x.turns.len()+x.fewTurns.len() == 0 && len(x.deliveries) > idleDeliveries {
		x.deliveries, x.freeDelivery, x.turns = make([]*delivery, 1), nil, turnQueue{}
		x.fewTurns = turnQueue{}
	}
	c := x.channels.at(uint32(ch))
	c.delivery = 0
	if c.released {
		x.Release(ch)
	}
}

// turnQueue is the deliveries in order of their turns: a ring that doubles.
type turnQueue struct {
	ring  []uint32 // power of two
	first uint32
	count uint32
}

func (q *turnQueue) len() int { return int(q.count) }

func (q *turnQueue) push(n uint32) {
	if int(q.count) == len(q.ring) {
		ring := make([]uint32, max(16, 2*len(q.ring)))
		for i := range q.count {
			ring[i] = q.ring[(q.first+i)&(q.count-1)]
		}
		q.ring, q.first = ring, 0
	}
	q.ring[(q.first+q.count)&uint32(len(q.ring)-1)] = n
	q.count++
}

func (q *turnQueue) pop() uint32 {
	n := q.ring[q.first]
	q.first = (q.first + 1) & uint32(len(q.ring)-1)
	q.count--
	return n
}
