package conn

import (
	"io"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Reading is reading from a loop's clients: when, how much, and in which order.
type Reading struct {
	set       *Set
	demoted   demoted   // clients not read from for now
	newcomers newcomers // connections that haven't sent anything yet
}

// Now reads from a connection for which no event was reported.
func (r *Reading) Now(i uint32) { r.read(i, r.set.Slots.at(i)) }

// read makes one read from the client; the loop reports any remainder with its next event. It
// returns whether there were bytes, their end or an error.
func (r *Reading) read(i uint32, c *socket) bool {
	buf := r.set.rbuf[:]
	if c.state == stateOpen {
		buf = buf[:min(len(buf), r.set.handler.ReadSize(i))]
	}
	p, err := r.set.receive(i, c, buf)
	switch err {
	case nil:
	case reactor.ErrAgain:
		return false
	case io.EOF:
		r.end(i, c)
		return true
	default:
		if c.flags&flagShaking != 0 && c.state == stateOpen {
			r.set.Secure.count(reasons.TLSLeft)
		}
		r.set.release(i, c, reasons.CloseReset)
		return true
	}
	if c.flags&(flagSecure|flagShaking) != flagSecure {
		c.flags &^= flagSilent
	}
	r.set.Out.Cork(i)
	r.received(i, c, p)
	r.set.Out.Uncork(i)
	r.set.Input.bound()
	return true
}

// received passes bytes on.
func (r *Reading) received(i uint32, c *socket, p []byte) {
	switch {
	case c.state != stateOpen:
	case c.flags&flagUnnamed != 0:
		r.set.Addrs.proxyHeader(i, c, p)
	case c.flags&flagShaking != 0:
		r.set.Secure.shake(i, c, p)
	case c.flags&flagSecure != 0:
		r.set.Secure.open(i, c, p)
	default:
		r.set.handler.Received(i, p)
	}
}

// end handles the client closing its side.
func (r *Reading) end(i uint32, c *socket) {
	switch {
	case c.flags&flagHalf != 0: // both sides are closed now
		r.set.release(i, c, reasons.CloseByClient)
	case c.flags&(flagUnnamed|flagInput) == flagUnnamed|flagInput:
		r.set.release(i, c, reasons.CloseUnreadable)
	case c.flags&flagShaking != 0:
		r.set.Secure.left(i, c)
	case c.flags&flagRejected != 0:
		r.set.release(i, c, reasons.CloseRejected)
	case c.flags&flagPartial != 0: // no client ends its side within a record on purpose
		if c.state == stateOpen {
			r.set.Secure.count(reasons.TLSPartial)
		}
		r.set.release(i, c, reasons.CloseTLS)
	default:
		r.set.handler.HalfClosed(i)
	}
}

// Pause stops reading from a client until Resume, so that TCP slows it down.
func (r *Reading) Pause(i uint32) {
	c := r.set.Slots.at(i)
	if c.flags&flagPaused == 0 {
		c.flags |= flagPaused
		r.watch(i, c)
	}
}

// Resume reads again from a paused client.
func (r *Reading) Resume(i uint32) {
	c := r.set.Slots.at(i)
	if c.flags&flagPaused == 0 {
		return
	}
	c.flags &^= flagPaused
	r.rewatch(i, c)
}

// rewatch is watch for a connection that is to be read from again.
func (r *Reading) rewatch(i uint32, c *socket) {
	if err := r.set.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, r.interest(c)); err != nil {
		r.set.log.Error("cannot watch a socket", "err", err) // its deadline ends it
	}
}

// ReadAlone has nothing read from a client while output is queued for it.
func (r *Reading) ReadAlone(i uint32) { r.set.Slots.at(i).flags |= flagExclusive }

// HalfClose keeps a client that has closed its side to read on. It reports whether that succeeded.
func (r *Reading) HalfClose(i uint32) bool {
	c := r.set.Slots.at(i)
	c.flags |= flagHalf
	return r.watch(i, c)
}

// IsHalf reports whether a client has closed its side and reads on.
func (r *Reading) IsHalf(i uint32) bool { return r.set.Slots.at(i).flags&flagHalf != 0 }

// watch updates the events to watch for. It returns false if the connection was lost by that.
func (r *Reading) watch(i uint32, c *socket) bool {
	if err := r.set.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, r.interest(c)); err != nil {
		r.set.log.Error("cannot watch a socket", "err", err)
		r.set.release(i, c, reasons.CloseInternal)
		return false
	}
	return true
}

// interest returns the events to watch for on a connection.
func (r *Reading) interest(c *socket) reactor.Events {
	ev := reactor.In
	if c.flags&(flagPaused|flagFull|flagDemoted|flagHalf) != 0 {
		ev = reactor.Half // closed on both sides, or failed
	}
	switch {
	case c.out == 0:
	case c.flags&flagExclusive != 0:
		ev = reactor.Out // further input would only be queued as well
	default:
		ev |= reactor.Out
	}
	return ev
}
