package slab

// Sparse holds what connections have beside their slot while a limit is on that
// needs it, by the same index. Its chunks are made when something is first put
// there: a gateway without such limits pays nothing.
type Sparse[T any] struct{ chunks []*[sideChunk]T }

// sideChunk is how many slots a chunk is for.
const sideChunk = 1 << 12

// Get returns what slot i has, nil where no slot near it ever had anything.
func (d *Sparse[T]) Get(i uint32) *T {
	if k := int(i / sideChunk); k < len(d.chunks) && d.chunks[k] != nil {
		return &d.chunks[k][i%sideChunk]
	}
	return nil
}

// At returns what slot i has, the zero value where it had nothing.
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

// Clear forgets what slot i has.
func (d *Sparse[T]) Clear(i uint32) {
	if v := d.Get(i); v != nil {
		var zero T
		*v = zero
	}
}
