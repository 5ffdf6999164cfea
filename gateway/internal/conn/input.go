package conn

import (
	"slices"
	"unsafe"

	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// input holds what a client has sent and the handler can't use yet: the start of a request or of a
// message, or requests behind the present one. Few connections have one at a time.
type input struct {
	buf     []byte
	keeping bool // there are kept bytes, or a part of them was used; else only extra counts
	full    bool // reading is suspended until the handler has used some
	seen    int  // see Seen
	extra   int  // bytes that the handler holds elsewhere, see Hold

	// For Options.TotalInputBytes

	owner uint32 // slot
	since uint32 // tick of its first bytes
	held  int    // bytes counted
}

// Inputs are the kept inputs of a loop's connections, and which of them are evicted because all
// together take too much memory.
type Inputs struct {
	set       *Set
	table     slab.ByKey[input]
	bytes     int64 // of all
	evictions evictions
}

const (
	// inputOverhead is the memory of an input besides its buffer, with its table entry, and of the
	// connection that has it.
	inputOverhead = int(unsafe.Sizeof(input{})) + slab.EntryBytes + 170
	// maxIdleInput is the largest buffer that a freed input keeps for its next owner.
	maxIdleInput = 4 << 10
	// maxIdleInputs is the number of freed inputs that keep theirs.
	maxIdleInputs = 64
)

// inputOf returns the connection's input, a new one where it has none.
func (s *Inputs) inputOf(i uint32, c *socket) *input {
	if c.flags&flagInput == 0 {
		c.flags |= flagInput
		in := s.table.Take(i)
		in.owner, in.since = i, s.set.Clock.now
		return in
	}
	return s.table.Get(i)
}

// of returns the connection's input, nil if it has none.
func (s *Inputs) of(i uint32) *input {
	if s.set.Slots.at(i).flags&flagInput == 0 {
		return nil
	}
	return s.table.Get(i)
}

// IsKeeping reports whether input is kept for the connection, which may be of no bytes.
func (s *Inputs) IsKeeping(i uint32) bool {
	in := s.of(i)
	return in != nil && in.keeping
}

// Kept returns the input kept for the connection, valid until the next change.
func (s *Inputs) Kept(i uint32) []byte {
	if in := s.of(i); in != nil {
		return in.buf
	}
	return nil
}

// Keep keeps p behind the connection's earlier input and returns all of it. The buffer grows
// tightly, and beyond most bytes no further than needed.
func (s *Inputs) Keep(i uint32, p []byte, most int) []byte {
	in := s.inputOf(i, s.set.Slots.at(i))
	in.keeping = true
	in.buf = appendTight(in.buf, p, most)
	s.count(in)
	return in.buf
}

// KeepUpTo is Keep for input that isn't wanted yet: once there are most bytes, reading is suspended
// until some are used, so that TCP slows the client down.
func (s *Inputs) KeepUpTo(i uint32, p []byte, most int) {
	if len(s.Keep(i, p, most)) >= most {
		s.Suspend(i)
	}
}

// Suspend suspends reading from a connection until its kept input is used.
func (s *Inputs) Suspend(i uint32) {
	c := s.set.Slots.at(i)
	if in := s.of(i); !in.full {
		in.full = true
		c.flags |= flagFull
		s.set.Reading.watch(i, c)
	}
}

// Empty empties the kept input, whose buffer stays the connection's.
func (s *Inputs) Empty(i uint32) {
	in := s.of(i)
	in.buf = in.buf[:0]
}

// Seen returns how many of the kept bytes the handler has looked at in vain.
func (s *Inputs) Seen(i uint32) int {
	if in := s.of(i); in != nil {
		return in.seen
	}
	return 0
}

// See notes that the handler has looked at n kept bytes and needs more.
func (s *Inputs) See(i uint32, n int) {
	if in := s.of(i); in != nil {
		in.seen = n
		s.readOn(in)
	}
}

// readOn ends Suspend.
func (s *Inputs) readOn(in *input) {
	if in.full {
		in.full = false
		c := s.set.Slots.at(in.owner)
		c.flags &^= flagFull
		s.set.Reading.rewatch(in.owner, c)
	}
}

// Free frees the kept input.
func (s *Inputs) Free(i uint32) {
	in := s.of(i)
	if in == nil {
		return
	}
	s.readOn(in)
	buf := in.buf[:0]
	if cap(buf) > maxIdleInput || s.table.Idle() >= maxIdleInputs {
		buf = nil
	}
	if in.extra > 0 {
		in.buf, in.keeping, in.seen = nil, false, 0
		s.count(in)
		return
	}
	s.add(-in.held)
	*in = input{buf: buf}
	s.table.Free(i)
	s.set.Slots.at(i).flags &^= flagInput
}

// Detach is Free for a caller that still uses the bytes.
func (s *Inputs) Detach(i uint32) {
	if in := s.of(i); in != nil {
		in.buf = nil
		s.Free(i)
	}
}

// Hold counts n bytes, which may be negative, that the handler holds because of what the client has
// sent.
func (s *Inputs) Hold(i uint32, n int) {
	if n == 0 {
		return
	}
	c := s.set.Slots.at(i)
	in := s.inputOf(i, c)
	if in.extra += n; in.extra == 0 && !in.keeping {
		s.Free(i)
		return
	}
	s.count(in)
}

// appendTight appends data to buf and grows its capacity by about a fifth: a doubling buffer takes
// twice its content.
func appendTight(buf, data []byte, most int) []byte {
	need := len(buf) + len(data)
	if need <= cap(buf) {
		return append(buf, data...)
	}
	grown := slices.Grow([]byte(nil), max(need, min(need+need/5, most)))
	return append(append(grown, buf...), data...)
}

// count updates the accounting after an input has changed.
func (s *Inputs) count(in *input) {
	n := inputOverhead + cap(in.buf) + in.extra
	s.add(n - in.held)
	in.held = n
}

// add adds n bytes, which may be negative, to the sum of all inputs.
func (s *Inputs) add(n int) {
	if n != 0 {
		s.bytes += int64(n)
		s.set.shared.Inputs.Add(int64(n))
	}
}

// Used returns the number of connections with input, and the memory of that.
func (s *Inputs) Used() (used int, bytes int64) { return s.table.Len(), s.bytes }
