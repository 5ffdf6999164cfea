package conn

import (
	"errors"
	"net/netip"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// listenerSlot is the listener's key in the loop; connections have smaller slots.
const listenerSlot = 1<<32 - 2

// AcceptsPerSlice is the number of connections accepted before other events get their turn.
const AcceptsPerSlice = 32

// Acceptor takes connections off a listener, and rejects those that are too many.
type Acceptor struct {
	set      *Set
	listener *reactor.Listener // nil once closed
	paused   bool              // the listener isn't watched until the next tick
	backlog  bool              // more connections may be waiting
	rejected rejected
	fullAt   uint32 // tick + 1 of the last warning that MaxConnections is reached
}

// accept takes connections off the listen queue.
func (s *Acceptor) accept() {
	s.backlog = false
	if s.listener == nil {
		return
	}
	short := false // of descriptors
	start := time.Now()
	for range AcceptsPerSlice {
		if time.Since(start) > reactor.Slice {
			break
		}
		fd, peer, err := s.listener.Accept()
		switch {
		case err == nil:
			s.Adopt(fd, peer)
		case err == reactor.ErrAgain:
			return
		case errors.Is(err, reactor.ErrDescriptors):
			s.set.stats.Exhausted++
			short = true
			s.closeAllRejected()
			s.set.shared.Limited.Warn(s.set.log, "out of file descriptors: rejecting connections",
				"err", err, "fix", "raise the limit on open files (ulimit -n, LimitNOFILE) or lower limits.connections; gateway doctor tells")
		default:
			s.set.shared.Limited.Warn(s.set.log, "cannot accept", "err", err)
			s.pause()
			return
		}
	}
	if short {
		s.pause()
		return
	}
	s.backlog = true
}

// more accepts more connections in each round of the loop. While a thousand clients send at
// the same time, the listener's event comes once for all of theirs, and the kernel's queue of 4,096
// connections would overflow: a client that finds it full retries after one second, then after two.
func (s *Acceptor) more() (more bool) {
	if s.backlog || !s.set.loop.AllTold() && !s.paused {
		s.set.Clock.wakeUp()
		s.accept()
	}
	return s.backlog
}

// Adopt turns an accepted socket into a connection, or rejects it where a limit is reached. It
// returns the connection's slot, 0 for none.
func (s *Acceptor) Adopt(fd int, peer netip.AddrPort) (i uint32) {
	s.set.stats.Accepts++
	if s.set.shared.Connections.Add(1) > int64(s.set.options.MaxConnections) {
		s.set.shared.Connections.Add(-1)
		s.warnFull()
		s.reject(fd, reasons.RejectConnections)
		return 0
	}
	if r := s.set.options.AcceptRate; r.IsSet() && !s.set.shared.accepts.Take(r, s.set.shared.Uptime()) {
		s.set.shared.Connections.Add(-1)
		s.reject(fd, reasons.RejectAcceptRate)
		return 0
	}
	i, c := s.set.Slots.take()
	c.fd, c.heard, c.born, c.state, c.flags = int32(fd), s.set.Clock.now, s.set.Clock.now, stateOpen, flagSilent
	if !s.set.Addrs.locate(i, c, peer) {
		s.set.shared.Connections.Add(-1)
		s.set.Addrs.forget(i)
		s.set.Slots.put(i)
		s.reject(fd, reasons.RejectAddress)
		return 0
	}
	s.set.handler.Accepted(i)
	if err := s.set.loop.Add(fd, reactor.Key{Slot: i, Gen: c.gen}, reactor.In); err != nil {
		s.set.shared.Limited.Warn(s.set.log, "cannot watch a socket", "err", err)
		s.set.release(i, c, reasons.CloseInternal)
		return 0
	}
	s.set.Clock.wheel.Set(i, s.set.Clock.now+Ticks(s.set.options.FirstRequest))
	s.set.Reading.newcomers.add(reactor.Key{Slot: i, Gen: c.gen})
	return i
}

// warnFull logs that limits.connections is reached, at most once a tick: in a flood even a
// suppressed line would cost as much as the responses.
func (s *Acceptor) warnFull() {
	if s.fullAt == s.set.Clock.now+1 {
		return
	}
	s.fullAt = s.set.Clock.now + 1
	s.set.shared.Limited.Warn(s.set.log, "as many connections as allowed: more are turned away",
		"connections", s.set.options.MaxConnections, "fix", "raise limits.connections, and the limit on open files (ulimit -n, LimitNOFILE) with it; gateway doctor tells")
}

// pause unregisters the listener until the next tick: it stays readable while nothing can be
// accepted, and would keep the loop spinning.
func (s *Acceptor) pause() {
	if err := s.set.loop.Del(s.listener.FD()); err == nil {
		s.paused = true
	}
}

// resume ends a pause.
func (s *Acceptor) resume() {
	if !s.paused || s.listener == nil {
		return
	}
	if err := s.set.loop.Add(s.listener.FD(), reactor.Key{Slot: listenerSlot}, reactor.In); err == nil {
		s.paused = false
	}
}

// Stop accepts the connections the kernel has completed already, which closing the listener
// would reset, and closes it.
func (s *Acceptor) Stop() {
	if s.listener == nil {
		return
	}
	for {
		fd, peer, err := s.listener.Accept()
		if err != nil {
			break
		}
		s.Adopt(fd, peer)
	}
	s.listener.Close()
	s.listener = nil
}
