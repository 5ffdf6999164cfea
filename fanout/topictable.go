package fanout

import "hash/maphash"

// topicTable finds a topic's place by the hash of its name: open addressing
// with linear probing over bare place numbers, which the caller compares. It
// is split by hash into parts that grow on their own, so that no single
// insert moves more than a 64th of the table.
type topicTable struct {
	parts [64]tablePart
}

type tablePart struct {
	slots []uint32 // place + 1; 0 is empty; a power of two long
	used  int
}

// hashSeed is the process's own, so that nobody can choose names that collide.
var hashSeed = maphash.MakeSeed()

// hashName places a channel on a link and in that link's table.
func hashName(channel string) uint64 { return maphash.String(hashSeed, channel) }

// find returns the place with this hash for which same says true.
func (t *topicTable) find(hash uint64, same func(id uint32) bool) (uint32, bool) {
	p := t.part(hash)
	if len(p.slots) == 0 {
		return 0, false
	}
	for i := p.home(hash); p.slots[i] != 0; i = p.after(i) {
		if id := p.slots[i] - 1; same(id) {
			return id, true
		}
	}
	return 0, false
}

// insert adds a place that isn't in the table.
func (t *topicTable) insert(hash uint64, id uint32, hashOf func(id uint32) uint64) {
	p := t.part(hash)
	if p.used >= len(p.slots)*3/4 {
		p.grow(hashOf)
	}
	p.put(hash, id)
	p.used++
}

// remove takes a place out and moves up what had to step aside for it.
func (t *topicTable) remove(hash uint64, id uint32, hashOf func(id uint32) uint64) {
	p := t.part(hash)
	hole := p.home(hash)
	for p.slots[hole] != id+1 {
		hole = p.after(hole)
	}
	for i := p.after(hole); p.slots[i] != 0; i = p.after(i) {
		home := p.home(hashOf(p.slots[i] - 1))
		// The one at i may fill the hole unless its home lies after the hole.
		if mask := uint64(len(p.slots) - 1); (i-home)&mask >= (i-hole)&mask {
			p.slots[hole] = p.slots[i]
			hole = i
		}
	}
	p.slots[hole] = 0
	p.used--
}

func (t *topicTable) part(hash uint64) *tablePart { return &t.parts[hash%uint64(len(t.parts))] }

func (p *tablePart) home(hash uint64) uint64 { return hash / 64 & uint64(len(p.slots)-1) }

func (p *tablePart) after(i uint64) uint64 { return (i + 1) & uint64(len(p.slots)-1) }

func (p *tablePart) put(hash uint64, id uint32) {
	i := p.home(hash)
	for p.slots[i] != 0 {
		i = p.after(i)
	}
	p.slots[i] = id + 1
}

func (p *tablePart) grow(hashOf func(id uint32) uint64) {
	old := p.slots
	p.slots = make([]uint32, max(8, 2*len(old)))
	for _, v := range old {
		if v != 0 {
			p.put(hashOf(v-1), v-1)
		}
	}
}
