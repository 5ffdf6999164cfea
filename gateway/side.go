package gateway

// side holds what connections have beside their slot while a limit is on that
// needs it, by the same index. Its chunks are made when something is first put
// there: a gateway without such limits pays nothing.
type side[T any] struct{ chunks []*[sideChunk]T }

// sideChunk is how many slots a chunk is for.
const sideChunk = 1 << 12

// get returns what slot i has, nil where no slot near it ever had anything.
func (d *side[T]) get(i uint32) *T {
	if k := int(i / sideChunk); k < len(d.chunks) && d.chunks[k] != nil {
		return &d.chunks[k][i%sideChunk]
	}
	return nil
}

// at returns what slot i has, the zero value where it had nothing.
func (d *side[T]) at(i uint32) *T {
	k := int(i / sideChunk)
	for k >= len(d.chunks) {
		d.chunks = append(d.chunks, nil)
	}
	if d.chunks[k] == nil {
		d.chunks[k] = new([sideChunk]T)
	}
	return &d.chunks[k][i%sideChunk]
}

// clear forgets what slot i has.
func (d *side[T]) clear(i uint32) {
	if v := d.get(i); v != nil {
		var zero T
		*v = zero
	}
}
