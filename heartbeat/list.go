package heartbeat

// Two lists follow the buckets, for ids that were due already when they were set:
// late fires in the next Advance, later holds those that fire set during this one.

func (w *Wheel) late() uint32  { return w.mask + 1 }
func (w *Wheel) later() uint32 { return w.mask + 2 }

// listFor returns the list that an id with a tick belongs to.
func (w *Wheel) listFor(due uint32) uint32 {
	switch {
	case after(due, w.now):
		return due & w.mask
	case w.advancing:
		return w.later()
	default:
		return w.late()
	}
}

// at returns the entry of an id that the table reaches to.
func (w *Wheel) at(id uint32) *entry { return &w.chunks[id>>chunkBits][id&(chunkSize-1)] }

// push puts an id that is in no list at the front of one. Advance, which goes from front to
// back, doesn't reach it.
func (w *Wheel) push(list uint32, id uint32, e *entry) {
	e.prev = headMark | link(list)
	e.next = w.heads[list]
	if e.next != 0 {
		w.at(uint32(e.next - 1)).prev = link(id + 1)
	}
	w.heads[list] = link(id + 1)
}

// unlink takes an id out of its list.
func (w *Wheel) unlink(id uint32, e *entry) {
	if w.cursor == link(id+1) {
		w.cursor = e.next
	}
	if e.prev&headMark != 0 {
		w.heads[e.prev&^headMark] = e.next
	} else {
		w.at(uint32(e.prev - 1)).next = e.next
	}
	if e.next != 0 {
		w.at(uint32(e.next - 1)).prev = e.prev
	}
	e.prev, e.next = 0, 0
}

// after compares ticks, which wrap.
func after(a, b uint32) bool { return int32(a-b) > 0 }
