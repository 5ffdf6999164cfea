package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// A client can send the start of a record and no more: 16 KiB that can't be opened. It is kept like
// the start of a request, within Options.TotalInputBytes, and no longer than the client has for a
// request. In its first record the client's time for a request doesn't begin anew.

// partial is the start of a record whose rest hasn't come yet. Those of a loop form a list by age.
type partial struct {
	buf        []byte
	since      uint32 // tick of its first bytes
	held       int    // bytes counted
	prev, next uint32 // older and newer, by slot
}

// partialBytes is the approximate memory of a partial besides its bytes.
const partialBytes = 64 + slab.EntryBytes

// keep keeps the bytes of an incomplete record behind earlier ones.
func (t *Secure) keep(i uint32, c *socket, p []byte) {
	var r *partial
	if c.flags&flagPartial == 0 {
		r = t.partials.Take(i)
		*r = partial{since: t.set.Clock.now, prev: t.newest}
		if t.newest != 0 {
			t.partials.Get(t.newest).next = i
		} else {
			t.oldest = i
		}
		t.newest = i
		c.flags |= flagPartial
	} else {
		r = t.partials.Get(i)
	}
	r.buf = appendTight(r.buf, p, tlsrecord.MaxRecord)
	held := partialBytes + cap(r.buf)
	r.held, held = held, held-r.held
	t.set.Input.Hold(i, held)
}

// freePartial frees the bytes of an incomplete record.
func (t *Secure) freePartial(i uint32, c *socket) {
	if c.flags&flagPartial == 0 {
		return
	}
	c.flags &^= flagPartial
	r := *t.partials.Get(i)
	if r.prev != 0 {
		t.partials.Get(r.prev).next = r.next
	} else {
		t.oldest = r.next
	}
	if r.next != 0 {
		t.partials.Get(r.next).prev = r.prev
	} else {
		t.newest = r.prev
	}
	*t.partials.Get(i) = partial{}
	t.partials.Free(i)
	t.set.Input.Hold(i, -r.held)
}

// expire closes connections whose record hasn't become whole in the time that a request has, a slice
// of them.
func (t *Secure) expire() (more bool) {
	if t.set.Clock.behind() {
		return false
	}
	for range beatsPerSlice {
		i := t.oldest
		if i == 0 || t.set.Clock.now-t.partials.Get(i).since < Ticks(t.set.options.FirstRequest) {
			return false
		}
		c := t.set.Slots.at(i)
		switch {
		case c.state != stateOpen: // another deadline was first
			t.freePartial(i, c)
		case t.set.Reading.interest(c)&reactor.In == 0: // the rest may be waiting for us
			buf := t.partials.Get(i).buf
			t.freePartial(i, c)
			t.keep(i, c, buf)
		default:
			t.endPartial(i, c)
		}
	}
	return true
}

// endPartial closes a connection whose record hasn't become whole in time.
func (t *Secure) endPartial(i uint32, c *socket) {
	t.freePartial(i, c)
	t.count(reasons.TLSPartial)
	t.set.Finish(i, reasons.CloseTLS)
}
