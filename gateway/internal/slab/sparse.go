package slab

// Sparse is an array of per-connection data, indexed by slot, for limits that may be off. Its
// chunks are allocated on first use: a gateway without such limits pays nothing.
type Sparse[T any] struct{ chunks []*[sideChunk]T }

// sideChunk is the number of slots in a chunk.
const sideChunk = 1 << 10

// Get returns slot i's value, nil if no slot in its chunk was ever set.
func (d *Sparse[T]) Get(i uint32) *T {
	if k := int(i / sideChunk); k < len(d.chunks) && d.chunks[k] != nil {
		return &d.chunks[k][i%sideChunk]
	}
	return nil
}

// At returns slot i's value, zero if it was never set.
func (d *Sparse[T]) At(i uint32) *T {
	k := int(i / sideChunk)
	for k >= len(d.chunks) {
		d.chunks = append(d.chunks, nil)
	}
	if d.chunks[k] == nil {
		d.chunks[k] = new([sideChunk]T)
	}
	return &d.chunks[k][i%sideChunk]
}

// Clear zeroes slot i's value.
func (d *Sparse[T]) Clear(i uint32) {
	if v := d.Get(i); v != nil {
		var zero T
		*v = zero
	}
}
