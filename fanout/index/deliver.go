package index

import (
	"slices"
	"unsafe"

	"github.com/pushgate/pushgate/fanout/internal/memory"
	"github.com/pushgate/pushgate/fanout/message"
)

// turnVisits is how many subscribers a channel serves before the next channel with
// pending messages has its turn.
const turnVisits = 256

// fewSubscribers is the most subscribers of a channel that is served before larger ones.
const fewSubscribers = 16

// delivery is a channel's messages on their way. A channel has one only while it has
// messages pending; it goes through the subscribers once for each batch, and where it
// stands survives every change of the list.
type delivery struct {
	channel  Channel
	next     Sub                // to be served next; 0 at the end of the list
	messages []*message.Message // from head on: the batch under way, and later ones
	head     int
	batch    Batch    // of the next messages; empty between two passes
	partial  *partial // the last shorter batch, nil mostly
}

// partial is a batch without its first messages, for a subscriber that wants only the
// ones after.
type partial struct {
	Batch
	skip int
}

// deliverer is the messages of an Index on their way from the channels to their
// subscriptions.
type deliverer struct {
	channelTable

	// Owned by the shard's loop.

	subs         memory.Chunks[subscription]
	deliveries   []*delivery // by delivery number; 0 is not used
	freeDelivery []uint32
	turns        turnQueue // of channels with many subscribers
	fewTurns     turnQueue // of channels with fewSubscribers at most
	pending      int       // messages
	pendingBytes int       // memory of these messages and their deliveries
	delivered    func([]*message.Message)
}

// OnDelivered has fn called with messages that the last of their subscribers has been
// sent. It must not call the index, nor keep the slice.
func (x *deliverer) OnDelivered(fn func([]*message.Message)) { x.delivered = fn }

// Pending returns the number of messages that have not reached all their subscribers yet,
// and the bytes of memory that they take, each with one encoding.
func (x *deliverer) Pending() (messages, bytes int) { return x.pending, x.pendingBytes }

// Publish puts a message on its way to all present subscribers of a channel. Its Seq is after
// the earlier messages'.
func (x *deliverer) Publish(ch Channel, m *message.Message) {
	c := x.channels.At(uint32(ch))
	if c.subscribers == 0 {
		return
	}
	if c.delivery == 0 {
		c.delivery = x.newDelivery(ch)
		x.pushTurn(c.delivery)
		x.pendingBytes += deliveryBytes
	}
	d := x.deliveries[c.delivery]
	d.messages = append(d.messages, m)
	x.pending++
	x.pendingBytes += m.PendingBytes()
}

// Deliver hands pending messages to their subscribers by calling send, until it has
// visited limit subscribers (held ones count too) or nothing is pending. sent is the
// number of calls; more says that something is pending.
//
// The messages of a channel that wait as a pass through its subscribers begins go together as a
// batch. Subscribers are served in order of subscription, and channels take turns, so that one
// waits for at most 256 visits of each other channel and not for a huge one's end. Channels
// with up to 16 subscribers go first, with half of the limit where others wait too.
//
// send may change everything, for the connection that it is called for and for others,
// but not call Deliver. A send costs 4 ns here besides its own work, and no allocation
// (BenchmarkDeliver).
func (x *deliverer) Deliver(limit int, send func(conn uint32, b *Batch)) (sent int, more bool) {
	few := limit
	if x.turns.len() > 0 {
		few = limit / 2
	}
	sent, left := x.deliverOf(&x.fewTurns, few, send)
	limit -= few - left
	n, limit := x.deliverOf(&x.turns, limit, send)
	m, _ := x.deliverOf(&x.fewTurns, limit, send)
	return sent + n + m, x.turns.len()+x.fewTurns.len() > 0
}

// deliverOf delivers to the channels of one queue, and returns the rest of the limit.
func (x *deliverer) deliverOf(q *turnQueue, limit int, send func(conn uint32, b *Batch)) (sent, left int) {
	for limit > 0 && q.len() > 0 {
		n := q.pop()
		visits, sends := x.serve(x.deliveries[n], min(limit, turnVisits), send)
		sent += sends
		limit -= max(visits, 1)
		if x.advance(x.deliveries[n]) {
			x.pushTurn(n)
		} else {
			x.endDelivery(n)
		}
	}
	return sent, limit
}

// pushTurn has a channel wait for its turn.
func (x *deliverer) pushTurn(n uint32) {
	if x.channels.At(uint32(x.deliveries[n].channel)).subscribers <= fewSubscribers {
		x.fewTurns.push(n)
	} else {
		x.turns.push(n)
	}
}

// serve visits at most limit subscribers of a channel.
func (x *deliverer) serve(d *delivery, limit int, send func(conn uint32, b *Batch)) (visits, sends int) {
	if d.batch.messages == nil {
		d.begin(x.channels.At(uint32(d.channel)).first)
	}
	for visits < limit && d.next != 0 {
		e := x.subs.At(uint32(d.next))
		d.next = e.next
		visits++
		b := &d.batch
		if e.channel&(subHeld|subFrom) != 0 {
			if b = d.batchFor(e); b == nil {
				continue
			}
		}
		sends++
		send(e.conn, b)
	}
	return visits, sends
}

// begin starts a pass with a batch of the pending messages.
func (d *delivery) begin(first Sub) {
	end, size := d.head, 0
	for end < len(d.messages) && end-d.head < batchMessages {
		size += len(d.messages[end].Payload)
		if size > batchBytes && end > d.head {
			break
		}
		end++
	}
	messages := d.messages[d.head:end:end]
	if len(messages) > 1 {
		messages = slices.Clone(messages) // it outlives its place here, see Batch
	}
	d.batch = Batch{messages: messages}
	d.next = first
}

// batchFor returns the part of the batch for a subscriber with a flag, nil for nothing.
// Once a message was after its start all later ones are too, and the flag goes: a start
// that stayed would be ahead again after 2^31 messages.
func (d *delivery) batchFor(e *subscription) *Batch {
	if e.channel&subHeld != 0 {
		return nil
	}
	skip := d.batch.upTo(e.from)
	if skip == len(d.batch.messages) {
		return nil
	}
	e.channel &^= subFrom
	if skip == 0 {
		return &d.batch
	}
	// Subscriptions of the same moment share the shorter encoding.
	if d.partial == nil || d.partial.skip != skip {
		d.partial = &partial{Batch: Batch{messages: d.batch.messages[skip:]}, skip: skip}
	}
	return &d.partial.Batch
}

// advance drops the batch if its pass is through, and reports whether there is more to
// do.
func (x *deliverer) advance(d *delivery) (more bool) {
	if d.next != 0 {
		return true
	}
	if x.delivered != nil {
		x.delivered(d.batch.messages)
	}
	for i, m := range d.batch.messages {
		x.pendingBytes -= m.PendingBytes()
		d.messages[d.head+i] = nil
	}
	x.pending -= len(d.batch.messages)
	d.head += len(d.batch.messages)
	d.batch, d.partial = Batch{}, nil
	if d.head == len(d.messages) {
		d.messages, d.head = d.messages[:0], 0
		return false
	}
	// Moving the rest down costs at most one step for each message dropped.
	if d.head > len(d.messages)/2 {
		n := copy(d.messages, d.messages[d.head:])
		clear(d.messages[n:])
		d.messages, d.head = d.messages[:n], 0
	}
	return true
}

// lastSeq returns the order of the latest message.
func (d *delivery) lastSeq() uint32 { return d.messages[len(d.messages)-1].Seq }

// deliveryBytes is the count of a channel with pending messages besides these: its
// delivery, and a place in the tables of deliveries and of turns, which double.
const deliveryBytes = int(unsafe.Sizeof(delivery{})) + 4*memory.PointerBytes

const (
	// idleDeliveries is how many delivery records are kept for reuse once nothing is
	// pending; a burst over a million channels leaves 1024.
	idleDeliveries = 1024
	// idleBacklog is the capacity for messages that a kept record may have.
	idleBacklog = 256
)

// newDelivery returns the number of an empty delivery.
func (x *deliverer) newDelivery(ch Channel) uint32 {
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

// endDelivery takes a delivery that has nothing left off its channel, and completes a
// Release that waited for it.
func (x *deliverer) endDelivery(n uint32) {
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
	c := x.channels.At(uint32(ch))
	c.delivery = 0
	if c.released {
		x.Release(ch)
	}
}

// turnQueue is the deliveries in order of their turns.
type turnQueue struct {
	list []uint32 // from head on
	head int
}

func (q *turnQueue) len() int { return len(q.list) - q.head }

func (q *turnQueue) push(n uint32) {
	if q.head > len(q.list)/2 { // to move the rest down costs at most one step for each pop
		q.list = q.list[:copy(q.list, q.list[q.head:])]
		q.head = 0
	}
	q.list = append(q.list, n)
}

func (q *turnQueue) pop() uint32 {
	q.head++
	return q.list[q.head-1]
}
