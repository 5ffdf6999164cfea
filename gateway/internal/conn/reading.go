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
func (s *Reading) Now(i uint32) { s.read(i, s.set.Slots.at(i)) }

// read makes one read from the client; the loop reports any remainder with its next event. It
// returns whether there were bytes, their end or an error.
func (s *Reading) read(i uint32, c *socket) bool {
	buf := s.set.rbuf[:]
	if c.state == stateOpen {
		buf = buf[:min(len(buf), s.set.handler.ReadSize(i))]
	}
	n, err := reactor.Read(int(c.fd), buf)
	switch err {
	case nil:
	case reactor.ErrAgain:
		return false
	case io.EOF:
		s.end(i, c)
		return true
	default:
		s.set.release(i, c, reasons.CloseReset)
		return true
	}
	s.set.stats.BytesIn += uint64(n)
	s.set.hear(c)
	c.flags &^= flagSilent
	s.set.Out.Cork(i)
	s.received(i, c, s.set.rbuf[:n])
	s.set.Out.Uncork(i)
	s.set.Input.bound()
	return true
}

// received passes bytes on.
func (s *Reading) received(i uint32, c *socket, p []byte) {
	switch {
	case c.state != stateOpen:
	case c.flags&flagUnnamed != 0:
		s.set.Addrs.proxyHeader(i, c, p)
	default:
		s.set.handler.Received(i, p)
	}
}

// end handles the client closing its side.
func (s *Reading) end(i uint32, c *socket) {
	switch {
	case c.flags&flagHalf != 0: // both sides are closed now
		s.set.release(i, c, reasons.CloseByClient)
	case c.flags&(flagUnnamed|flagInput) == flagUnnamed|flagInput:
		s.set.release(i, c, reasons.CloseUnreadable)
	default:
		s.set.handler.HalfClosed(i)
	}
}

// Pause stops reading from a client until Resume, so that TCP slows it down.
func (s *Reading) Pause(i uint32) {
	c := s.set.Slots.at(i)
	if c.flags&flagPaused == 0 {
		c.flags |= flagPaused
		s.watch(i, c)
	}
}

// Resume reads again from a paused client.
func (s *Reading) Resume(i uint32) {
	c := s.set.Slots.at(i)
	if c.flags&flagPaused == 0 {
		return
	}
	c.flags &^= flagPaused
	s.rewatch(i, c)
}

// rewatch is watch for a connection that is to be read from again.
func (s *Reading) rewatch(i uint32, c *socket) {
	if err := s.set.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, s.interest(c)); err != nil {
		s.set.log.Error("cannot watch a socket", "err", err) // its deadline ends it
	}
}

// IsPaused reports whether reading from the client is suspended by Pause or Suspend.
func (s *Reading) IsPaused(i uint32) bool { return s.set.Slots.at(i).flags&(flagPaused|flagFull) != 0 }

// ReadAlone has nothing read from a client while output is queued for it.
func (s *Reading) ReadAlone(i uint32) { s.set.Slots.at(i).flags |= flagExclusive }

// HalfClose keeps a client that has closed its side to read on. It reports whether that succeeded.
func (s *Reading) HalfClose(i uint32) bool {
	c := s.set.Slots.at(i)
	c.flags |= flagHalf
	return s.watch(i, c)
}

// IsHalf reports whether a client has closed its side and reads on.
func (s *Reading) IsHalf(i uint32) bool { return s.set.Slots.at(i).flags&flagHalf != 0 }

// watch updates the events to watch for. It returns false if the connection was lost by that.
func (s *Reading) watch(i uint32, c *socket) bool {
	if err := s.set.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, s.interest(c)); err != nil {
		s.set.log.Error("cannot watch a socket", "err", err)
		s.set.release(i, c, reasons.CloseInternal)
		return false
	}
	return true
}

// interest returns the events to watch for on a connection.
func (s *Reading) interest(c *socket) reactor.Events {
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
