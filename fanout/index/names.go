package index

import "github.com/pushgate/pushgate/fanout/message"

const (
	nameGranule    = 4 // bytes; a free block holds the number of the next
	nameChunkBytes = 64 << 10
	nameChunkUnits = nameChunkBytes / nameGranule
	nameClasses    = message.MaxChannelBytes / nameGranule
)

// nameArena keeps the bytes of channel names in large chunks. Names are rounded up to 4
// bytes, and a dropped one is used again for the next name of the same rounded length.
// The arena never shrinks.
type nameArena struct {
	chunks []*[nameChunkBytes]byte
	used   uint32                  // granules of the last chunk
	free   [nameClasses + 1]uint32 // by granules: place + 1 of the first free block
}

// put copies name and returns its place, counted in granules over all chunks.
func (a *nameArena) put(name []byte) uint32 {
	units := nameUnits(len(name))
	if head := a.free[units]; head != 0 {
		block := a.get(head-1, nameGranule)
		a.free[units] = uint32(block[0]) | uint32(block[1])<<8 | uint32(block[2])<<16 | uint32(block[3])<<24
		copy(a.get(head-1, len(name)), name)
		return head - 1
	}
	if len(a.chunks) == 0 || a.used+units > nameChunkUnits {
		a.next()
	}
	place := uint32(len(a.chunks)-1)*nameChunkUnits + a.used
	a.used += units
	copy(a.get(place, len(name)), name)
	return place
}

// next starts a chunk and gives the rest of the last one to the free blocks. That is less
// than the longest name.
func (a *nameArena) next() {
	if left := nameChunkUnits - a.used; len(a.chunks) != 0 && left != 0 {
		a.drop(uint32(len(a.chunks)-1)*nameChunkUnits+a.used, int(left)*nameGranule)
	}
	a.chunks = append(a.chunks, new([nameChunkBytes]byte))
	a.used = 0
}

// get returns the n bytes at place, until they are dropped.
func (a *nameArena) get(place uint32, n int) []byte {
	at := place % nameChunkUnits * nameGranule
	return a.chunks[place/nameChunkUnits][at : at+uint32(n) : at+uint32(n)]
}

// drop frees the name of n bytes at place.
func (a *nameArena) drop(place uint32, n int) {
	units := nameUnits(n)
	next := a.free[units]
	copy(a.get(place, nameGranule), []byte{byte(next), byte(next >> 8), byte(next >> 16), byte(next >> 24)})
	a.free[units] = place + 1
}

func nameUnits(n int) uint32 { return uint32(n+nameGranule-1) / nameGranule }
