package slab

// ByKey stores values that very few connections have, by their slot. Freed entries are reused.
type ByKey[T any] struct {
	table Table[T]
	of    map[uint32]uint32 // index by slot
}

// EntryBytes is the approximate memory of an entry of ByKey besides its value.
const EntryBytes = 40

// Get returns slot i's value, nil if it has none.
func (m *ByKey[T]) Get(i uint32) *T {
	if len(m.of) == 0 {
		return nil
	}
	if at := m.of[i]; at != 0 {
		return m.table.At(at)
	}
	return nil
}

// Take returns a value for slot i, which has none yet, as its last owner left it.
func (m *ByKey[T]) Take(i uint32) *T {
	if m.of == nil {
		m.of = make(map[uint32]uint32)
	}
	at, v := m.table.Take()
	m.of[i] = at
	return v
}

// Free frees slot i's value, if it has one.
func (m *ByKey[T]) Free(i uint32) {
	if at := m.of[i]; at != 0 {
		m.table.Put(at)
		delete(m.of, i)
	}
}

// Each calls fn for all values.
func (m *ByKey[T]) Each(fn func(i uint32, v *T)) {
	for i, at := range m.of {
		fn(i, m.table.At(at))
	}
}

// Idle returns the number of entries kept for their next owner.
func (m *ByKey[T]) Idle() int { return m.table.Idle() }

// Len returns the number of values.
func (m *ByKey[T]) Len() int { return len(m.of) }
