package conn

import (
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// This file is for tests of the layers above, which can't reach into the package.

// OnWrite has fn called right before each write to a connection.
func (w *Output) OnWrite(fn func(i uint32)) { w.onWrite = fn }

// SetNow moves the clock, and handles no deadline.
func (t *Clock) SetNow(tick uint32) { t.now = tick }

// Advanced returns the tick up to which deadlines were handled.
func (t *Clock) Advanced() uint32 { return t.wheel.Now() }

// Demoted returns the number of clients that wait for their turn to be read from.
func (r *Reading) Demoted() int { return len(r.demoted.list) }

// IsDemoted reports whether a client is one of them.
func (r *Reading) IsDemoted(i uint32) bool { return r.set.Slots.at(i).flags&flagDemoted != 0 }

// Rejected returns the number of sockets that are kept without a slot.
func (l *Acceptor) Rejected() int { return l.rejected.n }

// Waiting reports whether a connection's socket has bytes to read.
func (s *Set) Waiting(i uint32) bool {
	n, err := reactor.Peek(int(s.Slots.at(i).fd), make([]byte, 1))
	return err == nil && n > 0
}

// AddWithoutSocket adds a connection that nothing may be sent to.
func (s *Set) AddWithoutSocket() uint32 {
	i, c := s.Slots.take()
	c.fd, c.state = -1, stateOpen
	s.handler.Accepted(i)
	return i
}

// Forget forgets all connections, which must be without sockets.
func (s *Slots) Forget() { *s = Slots{} }

// Sound reports whether each slot is either free or used.
func (s *Set) Sound() bool {
	seen := map[uint32]bool{}
	for i := s.Slots.free; i != 0 && !seen[i]; i = s.Slots.at(i).heard {
		seen[i] = true
	}
	return s.Slots.used+len(seen) == int(s.Slots.End())-1
}

// Closing returns the number of connections that Reap has still to handle.
func (s *Set) Closing() int { return len(s.marked) }

// Len returns the number of connections with a deadline.
func (t *Clock) Len() int { return t.wheel.Len() }

// Used returns the number of connections with input, and its memory.
func (k *Inputs) Used() (used int, bytes int64) { return k.table.Len(), k.bytes }

// IsPaused reports whether reading from the client is suspended by Pause or Suspend.
func (r *Reading) IsPaused(i uint32) bool { return r.set.Slots.at(i).flags&(flagPaused|flagFull) != 0 }

// Begin has an adopted connection whose TLS handshake hasn't begun go on as after one.
func (t *Secure) Begin(i uint32, r *tlsrecord.Result) { t.begin(i, t.set.Slots.at(i), r) }
