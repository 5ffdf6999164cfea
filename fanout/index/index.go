// Package index delivers a channel's messages to its subscribers within one shard, in slices
// that leave room for others.
package index

import (
	"bytes"
	"hash/maphash"

	"github.com/pushgate/pushgate/fanout/internal/memory"
)

// Channel is a channel's number in one Index: dense, from 1, and used again after
// Release.
type Channel uint32

// Index knows the channels of one shard, their subscribers, and the messages still on their
// way. It is not for concurrent use.
//
// A million connections with a personal channel each make a million entries in every
// table, so that no table holds a pointer for each: the collector skips them, and a
// collection costs the same for one channel and for a million. Tables grow by chunks,
// never by copying into a larger array, and entries that are freed are used again. A
// channel with one subscriber and a name of 12 bytes costs 72.5 B of heap, each further
// subscription 24.1 B (BenchmarkIndexMemory).
type Index struct {
	deliverer

	// Owned by the shard's loop.

	freeSub  Sub // linked by subscription.next
	subCount int
	few      int                          // fewSubs, less in tests
	many     map[uint32]map[Channel]place // by connection, of those with more, see fewSubs
}

// channelTable is the channels of an Index by number and by name.
type channelTable struct {
	// Owned by the shard's loop.

	seed         maphash.Seed
	lookup       memory.Lookup
	names        nameArena
	channels     memory.Chunks[channelEntry]
	freeChannel  Channel // linked by channelEntry.first
	channelCount int
}

// channelEntry is one channel. A million of them exist: 28 bytes.
type channelEntry struct {
	name        uint32 // where its bytes are in the arena
	hash        uint32 // of the name
	first, last Sub    // in order of subscription
	subscribers uint32
	delivery    uint32 // number of its delivery, 0 when nothing is pending
	nameLen     uint8
	released    bool // goes as soon as its delivery has ended
}

// New makes an empty index.
func New() *Index {
	x := &Index{few: fewSubs, many: make(map[uint32]map[Channel]place)}
	x.seed, x.channels = maphash.MakeSeed(), memory.NewChunks[channelEntry]()
	x.subs, x.deliveries = memory.NewChunks[subscription](), make([]*delivery, 1)
	return x
}

// Channels returns the number of channels.
func (x *channelTable) Channels() int { return x.channelCount }

// Lookup finds a channel by name.
func (x *channelTable) Lookup(name []byte) (Channel, bool) {
	ch := x.find(name, x.hash(name))
	if ch == 0 || x.channels.At(uint32(ch)).released {
		return 0, false
	}
	return ch, true
}

// Open finds or makes the channel of a valid name, which it copies.
func (x *channelTable) Open(name []byte) Channel {
	h := x.hash(name)
	ch := x.find(name, h)
	if ch != 0 {
		x.channels.At(uint32(ch)).released = false
		return ch
	}
	if ch = x.freeChannel; ch != 0 {
		x.freeChannel = Channel(x.channels.At(uint32(ch)).first)
	} else {
		ch = Channel(x.channels.Grow())
	}
	*x.channels.At(uint32(ch)) = channelEntry{name: x.names.put(name), hash: h, nameLen: uint8(len(name))}
	x.lookup.Insert(uint32(ch), h, x.hashOf)
	x.channelCount++
	return ch
}

// Name returns a channel's name in memory of its own.
func (x *channelTable) Name(ch Channel) string { return string(x.nameOf(ch)) }

// AppendName appends a channel's name to dst.
func (x *channelTable) AppendName(dst []byte, ch Channel) []byte { return append(dst, x.nameOf(ch)...) }

// Subscribers returns the number of a channel's subscribers.
func (x *channelTable) Subscribers(ch Channel) int {
	return int(x.channels.At(uint32(ch)).subscribers)
}

// EachChannel calls fn for the channels in the order of their numbers, from one on, until fn
// returns false. It returns the number to go on from, 0 at the end, so that a walk over all of
// them can be cut into slices; a channel opened or released meanwhile may be met or not. fn
// must not change the index.
func (x *channelTable) EachChannel(from Channel, fn func(Channel) bool) (next Channel) {
	for i := max(1, uint32(from)); i <= x.channels.Last(); i++ {
		c := x.channels.At(i)
		if c.nameLen == 0 || c.released {
			continue
		}
		if !fn(Channel(i)) {
			return Channel(i + 1)
		}
	}
	return 0
}

// Release forgets a channel without subscribers, at once or, while a message of it is
// pending, as soon as Deliver is through with it; Open brings it back until then. A
// channel with subscribers stays.
func (x *channelTable) Release(ch Channel) {
	c := x.channels.At(uint32(ch))
	if c.subscribers != 0 {
		return
	}
	if c.delivery != 0 {
		c.released = true
		return
	}
	x.lookup.Remove(uint32(ch), c.hash, x.hashOf)
	x.names.drop(c.name, int(c.nameLen))
	*c = channelEntry{first: Sub(x.freeChannel)}
	x.freeChannel = ch
	x.channelCount--
}

func (x *channelTable) nameOf(ch Channel) []byte {
	c := x.channels.At(uint32(ch))
	return x.names.get(c.name, int(c.nameLen))
}

func (x *channelTable) hash(name []byte) uint32 { return uint32(maphash.Bytes(x.seed, name) >> 32) }

func (x *channelTable) find(name []byte, hash uint32) Channel {
	return Channel(x.lookup.Find(hash, func(n uint32) bool {
		return x.channels.At(n).hash == hash && bytes.Equal(x.nameOf(Channel(n)), name)
	}))
}

func (x *channelTable) hashOf(n uint32) uint32 { return x.channels.At(n).hash }
