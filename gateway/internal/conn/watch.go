package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Pause stops reading from a client until Resume, so that TCP slows it down.
func (s *Set) Pause(i uint32) {
	c := s.slots.at(i)
	if c.flags&flagPaused == 0 {
		c.flags |= flagPaused
		s.watch(i, c)
	}
}

// Resume reads again from a paused client.
func (s *Set) Resume(i uint32) {
	c := s.slots.at(i)
	if c.flags&flagPaused == 0 {
		return
	}
	c.flags &^= flagPaused
	s.rewatch(i, c)
}

// rewatch is watch for a connection that is to be read from again.
func (s *Set) rewatch(i uint32, c *socket) {
	if err := s.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, s.interest(c)); err != nil {
		s.log.Error("cannot watch a socket", "err", err) // its deadline ends it
	}
}

// IsPaused reports whether reading from the client is suspended by Pause or Suspend.
func (s *Set) IsPaused(i uint32) bool { return s.slots.at(i).flags&(flagPaused|flagFull) != 0 }

// ReadAlone has nothing read from a client while output is queued for it.
func (s *Set) ReadAlone(i uint32) { s.slots.at(i).flags |= flagExclusive }

// HalfClose keeps a client that has closed its side to read on. It reports whether that succeeded.
func (s *Set) HalfClose(i uint32) bool {
	c := s.slots.at(i)
	c.flags |= flagHalf
	return s.watch(i, c)
}

// IsHalf reports whether a client has closed its side and reads on.
func (s *Set) IsHalf(i uint32) bool { return s.slots.at(i).flags&flagHalf != 0 }

// watch updates the events to watch for. It returns false if the connection was lost by that.
func (s *Set) watch(i uint32, c *socket) bool {
	if err := s.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, s.interest(c)); err != nil {
		s.log.Error("cannot watch a socket", "err", err)
		s.release(i, c, reasons.CloseInternal)
		return false
	}
	return true
}

// interest returns the events to watch for on a connection.
func (s *Set) interest(c *socket) reactor.Events {
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
