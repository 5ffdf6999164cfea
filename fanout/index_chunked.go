package fanout

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

// chunked is an array that grows without moving: a pointer to an entry stays
// good, and growing to a million entries leaves no old copies behind. Entries
// of 24 and 28 bytes fill the allocator's size classes without waste.
type chunked[T any] struct {
	chunks []*[chunkSize]T
	used   uint32
}

// at returns entry i, which must have been grown.
func (c *chunked[T]) at(i uint32) *T { return &c.chunks[i>>chunkBits][i&(chunkSize-1)] }

// grow adds a zero entry and returns its number.
func (c *chunked[T]) grow() uint32 {
	i := c.used
	if int(i>>chunkBits) == len(c.chunks) {
		c.chunks = append(c.chunks, new([chunkSize]T))
	}
	c.used++
	return i
}
