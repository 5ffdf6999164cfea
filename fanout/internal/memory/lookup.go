package memory

const (
	lookupParts    = 256
	lookupMinSlots = 8
)

// Lookup finds the numbers of entries by the hash of their names: open addressing with
// linear probing over bare numbers, 4 bytes a slot, at most 3/4 full; a Go map of a
// million strings takes 38 bytes an entry. It is cut into 256 parts that grow one by one:
// on the way to a million entries the longest pause for one takes 0.15 ms, with a single
// table it took 15 ms (BenchmarkOpen in fanout/index). The zero value is empty.
type Lookup struct {
	parts [lookupParts]lookupPart
}

type lookupPart struct {
	slots []uint32 // power of two; 0 is free
	used  uint32
}

// Find returns the number with a hash for which is returns true, 0 for none. is is called
// for a few others, too.
func (l *Lookup) Find(hash uint32, is func(n uint32) bool) uint32 {
	// The top bits choose the part and the low ones the slot.
	slots := l.parts[hash>>24].slots
	if len(slots) == 0 {
		return 0
	}
	mask := uint32(len(slots) - 1)
	for at := hash & mask; slots[at] != 0; at = (at + 1) & mask {
		if is(slots[at]) {
			return slots[at]
		}
	}
	return 0
}

// Insert adds a number that isn't there, from 1. hashOf returns the hash of any number
// that is.
func (l *Lookup) Insert(n, hash uint32, hashOf func(n uint32) uint32) {
	p := &l.parts[hash>>24]
	if (int(p.used)+1)*4 > len(p.slots)*3 {
		old := p.slots
		p.slots = make([]uint32, max(lookupMinSlots, 2*len(old)))
		for _, n := range old {
			if n != 0 {
				p.place(n, hashOf(n))
			}
		}
	}
	p.place(n, hash)
	p.used++
}

func (p *lookupPart) place(n, hash uint32) {
	mask := uint32(len(p.slots) - 1)
	at := hash & mask
	for p.slots[at] != 0 {
		at = (at + 1) & mask
	}
	p.slots[at] = n
}

// Remove takes out a number that is there and moves the ones behind it up, so that no
// tombstones lengthen later searches.
func (l *Lookup) Remove(n, hash uint32, hashOf func(n uint32) uint32) {
	p := &l.parts[hash>>24]
	mask := uint32(len(p.slots) - 1)
	hole := hash & mask
	for p.slots[hole] != n {
		hole = (hole + 1) & mask
	}
	for at := (hole + 1) & mask; p.slots[at] != 0; at = (at + 1) & mask {
		home := hashOf(p.slots[at]) & mask
		if (at-home)&mask >= (at-hole)&mask {
			p.slots[hole] = p.slots[at]
			hole = at
		}
	}
	p.slots[hole] = 0
	p.used--
}
