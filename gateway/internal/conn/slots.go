package conn

import "github.com/pushgate/pushgate/internal/reactor"

// state is where a socket is in its life.
type state uint8

const (
	stateFree state = iota
	stateOpen
	// stateClosing: the last bytes are out or queued, and the write side is shut after them;
	// further input is read and dropped until the client closes too or its time is up, since a
	// close with unread input would make the kernel reset the connection and the client lose its
	// last bytes.
	stateClosing
	// stateGone: it is cut off, and freed by reap.
	stateGone
)

// flags of a socket.
type flags uint16

const (
	flagUnnamed   flags = 1 << iota // a trusted proxy has to name the client first
	flagSilent                      // nothing was received yet; over TLS, no data
	flagEnding                      // shut down the write side once the queue is empty
	flagBatched                     // a send to it is in the batch
	flagHalf                        // the client has closed its side and reads on
	flagDemoted                     // reading is suspended until its turn, see demote
	flagInput                       // there is kept input for it
	flagPaused                      // reading is suspended by the handler
	flagFull                        // reading is suspended until the kept input is used
	flagExclusive                   // nothing is read while output is queued
	flagSecure                      // it speaks TLS, see Secure
	flagShaking                     // its TLS handshake isn't complete
	flagWaiting                     // its TLS handshake waits for its turn
	flagRejected                    // it gets a response and nothing else, see rejectTLS
	flagPartial                     // the start of a TLS record is kept
)

// socket is a connection's entry. It exists a million times: it holds no pointer, and data that
// only some connections need is kept in tables, by their slot or an index here.
type socket struct {
	fd    int32
	gen   uint32 // incremented each time the slot is freed; never 0 in use
	heard uint32 // tick of the last bytes from the client; next free slot in a free one
	born  uint32 // tick of the accept
	out   uint32 // index of its queue, 0 = none
	state state
	flags flags
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// Slots stores a loop's sockets in chunks that never move. At a million entries it costs the
// collector 2.6 ms a cycle where a map of pointers costs 246 ms (BenchmarkSlab).
type Slots struct {
	chunks []*[chunkSize]socket
	free   uint32 // head of the list of free slots; 0 = none, slot 0 is never used
	next   uint32 // first slot never used
	used   int
}

// at returns the socket in slot i, which take has returned.
func (s *Slots) at(i uint32) *socket { return &s.chunks[i>>chunkBits][i&(chunkSize-1)] }

// take returns an unused slot, zero except for its generation.
func (s *Slots) take() (uint32, *socket) {
	s.used++
	if i := s.free; i != 0 {
		c := s.at(i)
		s.free = c.heard
		*c = socket{gen: c.gen}
		return i, c
	}
	if s.next == 0 {
		s.next = 1
	}
	i := s.next
	if int(i>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkSize]socket))
	}
	s.next++
	c := s.at(i)
	c.gen = 1
	return i, c
}

// put frees slot i: keys with the old generation become void.
func (s *Slots) put(i uint32) {
	c := s.at(i)
	*c = socket{gen: c.gen + 1, heard: s.free}
	s.free = i
	s.used--
}

// find returns the socket in a slot if its generation is gen, nil if it is gone.
func (s *Slots) find(slot, gen uint32) *socket {
	if slot == 0 || slot >= s.next {
		return nil
	}
	c := s.at(slot)
	if c.gen != gen || c.state == stateFree || c.state == stateGone {
		return nil
	}
	return c
}

// Len returns the number of connections.
func (s *Slots) Len() int { return s.used }

// End returns the first slot that was never used.
func (s *Slots) End() uint32 { return max(1, s.next) }

// Exists reports whether slot i holds a connection that isn't cut off.
func (s *Slots) Exists(i uint32) bool {
	state := s.at(i).state
	return state != stateFree && state != stateGone
}

// Gen returns the generation of a connection, which tells it from later ones in its slot.
func (s *Slots) Gen(i uint32) uint32 { return s.at(i).gen }

// Key returns a connection's key for a later turn, in which Find tells whether it still exists.
func (s *Slots) Key(i uint32) reactor.Key { return reactor.Key{Slot: i, Gen: s.at(i).gen} }

// Find reports whether a connection still exists.
func (s *Slots) Find(k reactor.Key) bool { return s.find(k.Slot, k.Gen) != nil }

// FindOpen reports whether a connection still exists and isn't closed.
func (s *Slots) FindOpen(k reactor.Key) bool {
	c := s.find(k.Slot, k.Gen)
	return c != nil && c.state == stateOpen
}

// Born returns the tick at which a connection was accepted.
func (s *Slots) Born(i uint32) uint32 { return s.at(i).born }

// Heard returns the tick at which the last bytes came from a client.
func (s *Slots) Heard(i uint32) uint32 { return s.at(i).heard }

// IsOpen reports whether slot i holds a connection that isn't closed.
func (s *Slots) IsOpen(i uint32) bool { return s.at(i).state == stateOpen }
