package slab

// Table stores values that only some connections have, by an index that fits into the slot; 0 means
// none. Freed entries are reused.
type Table[T any] struct {
	items []*T
	free  []uint32
}

// Take returns an unused entry as its last owner left it.
func (t *Table[T]) Take() (uint32, *T) {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i, t.items[i-1]
	}
	v := new(T)
	t.items = append(t.items, v)
	return uint32(len(t.items)), v
}

func (t *Table[T]) At(i uint32) *T { return t.items[i-1] }

func (t *Table[T]) Put(i uint32) { t.free = append(t.free, i) }

// Used returns the number of entries with an owner.
func (t *Table[T]) Used() int { return len(t.items) - len(t.free) }

// Idle returns the number of entries kept for their next owner.
func (t *Table[T]) Idle() int { return len(t.free) }
