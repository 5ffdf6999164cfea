package gateway

// table holds the things that only some connections have, by an index that
// fits into the slot; 0 means none. Freed ones are used again.
type table[T any] struct {
	items []*T
	free  []uint32
}

// take returns an unused entry as its last owner left it.
func (t *table[T]) take() (uint32, *T) {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i, t.items[i-1]
	}
	v := new(T)
	t.items = append(t.items, v)
	return uint32(len(t.items)), v
}

func (t *table[T]) at(i uint32) *T { return t.items[i-1] }

func (t *table[T]) put(i uint32) { t.free = append(t.free, i) }

// used returns how many entries have an owner.
func (t *table[T]) used() int { return len(t.items) - len(t.free) }

// idle returns how many are kept for their next owner.
func (t *table[T]) idle() int { return len(t.free) }

// each calls fn for all entries, the idle ones included.
func (t *table[T]) each(fn func(*T)) {
	for _, v := range t.items {
		fn(v)
	}
}
