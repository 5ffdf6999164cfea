package client

import (
	"time"

	"github.com/pushgate/pushgate/internal/chunked"
)

// state is how far a client is.
//
//	waiting -> connecting -> opening -> joining -> ready -> closing -> gone
//	           (TCP)         (request   (channels    |  ^   (peer closed,
//	                          sent)      unconfirmed) v  |   or we leave)
//	                                               renewing
//	                                   (a poll between connections)
//
// Every state may fall to gone.
type state uint8

const (
	waiting state = iota
	connecting
	opening
	joining
	ready
	renewing
	closing
	gone
)

// client is one connection of the slab. It has no pointers; data that a client
// needs only while it opens or in the middle of a message is in its scratch.
// With K subscriptions a client costs 16 + 4K bytes.
type client struct {
	fd      int32
	gen     uint32 // distinguishes events of an earlier connection in this slot
	scratch uint32 // index + 1 in the loop's scratches, 0 for none
	pending uint16 // subscriptions still to be confirmed
	state   state
	flags   clientFlags
}

// up reports whether a client counts as there: ready, or a poll between two
// connections.
func (c *client) up() bool { return c.state == ready || c.state == renewing }

type clientFlags uint8

const (
	// chunkedBody: the event stream is in the chunked coding.
	chunkedBody clientFlags = 1 << iota
	// closeSeen: the server's close frame was read; only its end of stream is awaited.
	closeSeen
	// booked: the loss was counted already.
	booked
	// leaving: the run closes this client; its end is no loss.
	leaving
	// counted: was ready when the publishing began, so messages are expected.
	counted
	// wantsOut: registered for writability, with bytes waiting in the scratch.
	wantsOut
	// slow: reads little or nothing while the run says so.
	slow
	// moving: is closed and opened again by the run, while the others stay.
	moving

	// lasting: the flags that a client keeps over its connections.
	lasting = counted | slow | moving
)

// scratch holds a client's things for a while: pooled per loop, so that there
// are about as many as handshakes in flight.
type scratch struct {
	client   uint32
	used     bool
	due      int64         // ns, when a paced connect was to begin; 0 without a pace
	started  int64         // ns, when the connect began
	first    int64         // ns, when the first connect began, of a client that the server put off; 0: this one
	deadline int64         // ns, when the client is given up; 0 for never
	churned  int64         // ns, the slot of the churn that closed the client; 0 for none
	after    time.Duration // how long the server wants the client to stay away
	retry    time.Duration // the same by an event stream's retry line
	bye      bool          // the server has said goodbye
	welcomed bool          // and welcome before, as gateways do at once
	again    bool          // not the client's first connection
	resume   bool          // send the last position
	attempt  uint8         // failed ones before this
	frames   frameReader
	chunks   chunked.Decoder
	in       []byte // received, not yet whole
	sealed   []byte // the start of a TLS record, less than tlsrecord.MaxRecord
	out      []byte // to be sent, refused by the kernel
}

// slab holds a loop's clients and their scratches, where they need one.
type slab struct {
	clients       []client
	scratches     []*scratch
	freeScratches []uint32
}

// keepBuffer is the capacity that a pooled scratch may keep.
const keepBuffer = 16 << 10

// scratch returns a client's scratch, taking one from the pool if it has none.
func (b *slab) scratch(i uint32) *scratch {
	c := &b.clients[i]
	if c.scratch == 0 {
		if n := len(b.freeScratches); n > 0 {
			c.scratch = b.freeScratches[n-1]
			b.freeScratches = b.freeScratches[:n-1]
		} else {
			b.scratches = append(b.scratches, new(scratch))
			c.scratch = uint32(len(b.scratches))
		}
		s := b.scratches[c.scratch-1]
		*s = scratch{client: i, used: true, in: s.in[:0], sealed: s.sealed[:0], out: s.out[:0]}
		s.frames = newFrameReader()
	}
	return b.scratches[c.scratch-1]
}

// heldScratch returns a client's scratch or nil.
func (b *slab) heldScratch(i uint32) *scratch {
	if k := b.clients[i].scratch; k != 0 {
		return b.scratches[k-1]
	}
	return nil
}

// releaseScratch returns a client's scratch to the pool.
func (b *slab) releaseScratch(i uint32) {
	c := &b.clients[i]
	if c.scratch == 0 {
		return
	}
	s := b.scratches[c.scratch-1]
	s.used = false
	if cap(s.in) > keepBuffer {
		s.in = nil
	}
	if cap(s.sealed) > keepBuffer {
		s.sealed = nil
	}
	if cap(s.out) > keepBuffer {
		s.out = nil
	}
	b.freeScratches = append(b.freeScratches, c.scratch)
	c.scratch = 0
}

// tidy gives a client's scratch back once nothing in it is needed.
func (b *slab) tidy(slot uint32) {
	s := b.heldScratch(slot)
	if s == nil || b.clients[slot].state != ready {
		return
	}
	if len(s.in)+len(s.sealed)+len(s.out) == 0 && s.deadline == 0 && s.after == 0 && !s.bye && s.frames.Idle() && s.chunks.Idle() {
		b.releaseScratch(slot)
	}
}
