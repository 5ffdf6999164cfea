package fanout

const (
	lookupParts    = 256
	lookupMinSlots = 8
)

// channelLookup finds channels by the hash of their name: open addressing
// with linear probing over channel numbers, 4 bytes a slot, at most 3/4 full.
// It is cut into 256 parts that grow one by one: on the way to a million
// channels the longest pause for one takes 0.15 ms, with a single table it
// took 15 ms (BenchmarkOpen).
type channelLookup struct {
	parts [lookupParts]lookupPart
}

type lookupPart struct {
	slots []uint32 // power of two; 0 is free
	used  uint32
}

// start returns the slots of the part that hash falls into, none in an empty
// part, and where to look first. The top bits choose the part and the low
// ones the slot.
func (l *channelLookup) start(hash uint32) (slots []uint32, at uint32) {
	slots = l.parts[hash>>24].slots
	return slots, hash & uint32(len(slots)-1)
}

// insert adds a channel that isn't there.
func (l *channelLookup) insert(ch Channel, hash uint32, channels *chunked[channelEntry]) {
	p := &l.parts[hash>>24]
	if (int(p.used)+1)*4 > len(p.slots)*3 {
		old := p.slots
		p.slots = make([]uint32, max(lookupMinSlots, 2*len(old)))
		for _, n := range old {
			if n != 0 {
				p.place(n, channels.at(n).hash)
			}
		}
	}
	p.place(uint32(ch), hash)
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

// remove takes a channel out and moves the ones behind it up, so that no
// tombstones lengthen later searches.
func (l *channelLookup) remove(ch Channel, hash uint32, channels *chunked[channelEntry]) {
	p := &l.parts[hash>>24]
	mask := uint32(len(p.slots) - 1)
	hole := hash & mask
	for p.slots[hole] != uint32(ch) {
		hole = (hole + 1) & mask
	}
	for at := (hole + 1) & mask; p.slots[at] != 0; at = (at + 1) & mask {
		home := channels.at(p.slots[at]).hash & mask
		if (at-home)&mask >= (at-hole)&mask {
			p.slots[hole] = p.slots[at]
			hole = at
		}
	}
	p.slots[hole] = 0
	p.used--
}
