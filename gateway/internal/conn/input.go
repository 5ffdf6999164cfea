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

// of returns the connection's input, nil if it has none.
func (k *Inputs) of(i uint32) *input {
	if k.set.Slots.at(i).flags&flagInput == 0 {
		return nil
	}
	return k.table.Get(i)
}

// ensure returns the connection's input, a new one if it has none.
func (k *Inputs) ensure(i uint32) *input {
	in := k.of(i)
	if in == nil {
		k.set.Slots.at(i).flags |= flagInput
		in = k.table.Take(i)
		in.since = k.set.Clock.now
	}
	return in
}

// IsKeeping reports whether input is kept for the connection, which may be of no bytes.
func (k *Inputs) IsKeeping(i uint32) bool {
	in := k.of(i)
	return in != nil && in.keeping
}

// Kept returns the input kept for the connection, valid until the next change.
func (k *Inputs) Kept(i uint32) []byte {
	if in := k.of(i); in != nil {
		return in.buf
	}
	return nil
}

// Keep keeps p behind the connection's earlier input and returns all of it. The buffer grows
// tightly, and beyond most bytes no further than needed.
func (k *Inputs) Keep(i uint32, p []byte, most int) []byte {
	in := k.ensure(i)
	in.keeping = true
	in.buf = appendTight(in.buf, p, most)
	k.count(in)
	return in.buf
}

// KeepUpTo is Keep for input that isn't wanted yet: once there are most bytes, reading is suspended
// until some are used, so that TCP slows the client down.
func (k *Inputs) KeepUpTo(i uint32, p []byte, most int) {
	if len(k.Keep(i, p, most)) >= most {
		k.Suspend(i)
	}
}

// Suspend suspends reading from a connection until its kept input is used.
func (k *Inputs) Suspend(i uint32) {
	c := k.set.Slots.at(i)
	if in := k.of(i); !in.full {
		in.full = true
		c.flags |= flagFull
		k.set.Reading.watch(i, c)
	}
}

// Empty empties the kept input, whose buffer stays the connection's.
func (k *Inputs) Empty(i uint32) {
	in := k.of(i)
	in.buf = in.buf[:0]
}

// Seen returns how many of the kept bytes the handler has looked at and could not use yet.
func (k *Inputs) Seen(i uint32) int {
	if in := k.of(i); in != nil {
		return in.seen
	}
	return 0
}

// See notes that the handler has looked at n kept bytes and needs more.
func (k *Inputs) See(i uint32, n int) {
	if in := k.of(i); in != nil {
		in.seen = n
		k.readOn(i, in)
	}
}

// readOn ends Suspend.
func (k *Inputs) readOn(i uint32, in *input) {
	if in.full {
		in.full = false
		c := k.set.Slots.at(i)
		c.flags &^= flagFull
		k.set.Reading.rewatch(i, c)
	}
}

// Free frees the kept input.
func (k *Inputs) Free(i uint32) {
	in := k.of(i)
	if in == nil {
		return
	}
	k.readOn(i, in)
	buf := in.buf[:0]
	if cap(buf) > maxIdleInput || k.table.Idle() >= maxIdleInputs {
		buf = nil
	}
	if in.extra > 0 {
		in.buf, in.keeping, in.seen = nil, false, 0
		k.count(in)
		return
	}
	k.add(-in.held)
	*in = input{buf: buf}
	k.table.Free(i)
	k.set.Slots.at(i).flags &^= flagInput
}

// Detach is Free for a caller that still uses the bytes.
func (k *Inputs) Detach(i uint32) {
	if in := k.of(i); in != nil {
		in.buf = nil
		k.Free(i)
	}
}

// Hold counts n bytes, which may be negative, that the handler holds because of what the client has
// sent.
func (k *Inputs) Hold(i uint32, n int) {
	if n == 0 {
		return
	}
	in := k.ensure(i)
	if in.extra += n; in.extra == 0 && !in.keeping {
		k.Free(i)
		return
	}
	k.count(in)
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
func (k *Inputs) count(in *input) {
	n := inputOverhead + cap(in.buf) + in.extra
	k.add(n - in.held)
	in.held = n
}

// add adds n bytes, which may be negative, to the sum of all inputs.
func (k *Inputs) add(n int) {
	if n != 0 {
		k.bytes += int64(n)
		k.set.shared.Inputs.Add(int64(n))
	}
}
