package client

import (
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// slowBuffer is the receive buffer of a slow client, so that it falls behind
// by the server's buffers and not by its own kernel's.
const slowBuffer = 4096

// slowReaders is a loop's part of clients that don't read, or trickle.
type slowReaders struct {
	l      *loop
	slots  []uint32
	active bool
	each   int // bytes that each of them reads in a scanEvery; 0: none
}

// slowDown has the slow clients stop reading, but for rate bytes a second. It
// runs on the loop's goroutine.
func (w *slowReaders) slowDown(rate int) {
	w.active = true
	if rate > 0 {
		w.each = max(int(time.Duration(rate)*time.Duration(scanEvery)/time.Second), 1)
	}
	for _, slot := range w.slots {
		if w.l.clients[slot].state == ready {
			w.l.watch(slot, 0)
		}
	}
}

// speedUp has them read all that has gathered, up to their end.
func (w *slowReaders) speedUp() {
	w.each = 0
	for _, slot := range w.slots {
		if w.l.clients[slot].state == ready {
			w.l.watch(slot, reactor.In)
		}
	}
}

// trickle reads a little for each slow client.
func (w *slowReaders) trickle() {
	if !w.active || w.each == 0 {
		return
	}
	for _, slot := range w.slots {
		if w.l.clients[slot].state == ready {
			w.l.read(slot, min(w.each, len(w.l.in)))
		}
	}
}
