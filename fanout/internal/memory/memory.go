// Package memory holds tables with a million entries: they grow without copying, hold no
// pointer for each entry, and it is known how much memory they take.
package memory

import "unsafe"

// PointerBytes is the size of a pointer.
const PointerBytes = int(unsafe.Sizeof(uintptr(0)))

// Unit is the step of the allocator's smallest sizes, in bytes.
const Unit = 16

// Allocated returns the least memory in bytes that n bytes take with an allocation of
// their own: a multiple of Unit, or of 8 KiB for large ones.
func Allocated(n int) int {
	const large, page = 32 << 10, 8 << 10
	if n > large {
		return (n + page - 1) &^ (page - 1)
	}
	return (n + Unit - 1) &^ (Unit - 1)
}

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

// Chunks is an array that grows without moving: a pointer to an entry stays good, and
// growing to a million entries leaves no old copies behind. Its entries are numbered from
// 1, so that 0 can stand for none; At(0) is a zero entry.
type Chunks[T any] struct {
	chunks []*[chunkSize]T
	last   uint32
}

// NewChunks returns an array without entries.
func NewChunks[T any]() Chunks[T] { return Chunks[T]{chunks: []*[chunkSize]T{new([chunkSize]T)}} }

// At returns entry n, 0 to Last.
func (c *Chunks[T]) At(n uint32) *T { return &c.chunks[n>>chunkBits][n&(chunkSize-1)] }

// Last returns the number of the latest entry, 0 without any.
func (c *Chunks[T]) Last() uint32 { return c.last }

// Grow adds a zero entry and returns its number.
func (c *Chunks[T]) Grow() uint32 {
	c.last++
	if int(c.last>>chunkBits) == len(c.chunks) {
		c.chunks = append(c.chunks, new([chunkSize]T))
	}
	return c.last
}
