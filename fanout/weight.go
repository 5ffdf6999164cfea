package fanout

import "unsafe"

const (
	pointerBytes = int(unsafe.Sizeof(uintptr(0)))
	// messageBytes is a Message with nothing behind it.
	messageBytes = (int(unsafe.Sizeof(Message{})) + weightUnit - 1) &^ (weightUnit - 1)
	// encodingBytes is what an encoding takes besides its bytes.
	encodingBytes = (int(unsafe.Sizeof(encoding{})) + weightUnit - 1) &^ (weightUnit - 1)
	// weightUnit is what a message's weight counts in.
	weightUnit = 16
	// inRing is the bit of a weight for a message that a ring keeps.
	inRing = 1 << 31
)

// ownBytes returns what the message takes in memory without its encodings.
func (m *Message) ownBytes() int {
	return messageBytes + allocated(cap(m.Payload)) + allocated(len(m.User))
}

// bytes returns the memory of the message and of its present encodings. A later
// encoding adds its own.
func (m *Message) bytes() int { return m.ownBytes() + weightOf(m.weight.Load()) }

// pendingBytes returns what a message counts that waits to be delivered: itself,
// its place, and the one encoding that most messages get, whether it's there or
// not. What a message counts must not change while it waits.
func (m *Message) pendingBytes() int {
	return m.ownBytes() + 2*pointerBytes + allocated(len(m.Payload)*4/3+len(m.Channel)+64+encodingBytes)
}

// allocated returns what n bytes take at least, where they are allocated for
// themselves: a multiple of 16, or of 8 KiB for large ones.
func allocated(n int) int {
	const large, page = 32 << 10, 8 << 10
	if n > large {
		return (n + page - 1) &^ (page - 1)
	}
	return (n + weightUnit - 1) &^ (weightUnit - 1)
}

func weightOf(w uint32) int { return int(w&^inRing) * weightUnit }

// weigh counts an encoding: always in the message's weight, and where a ring keeps
// the message, there too. A ring counts the weight that it finds as the message
// enters, and takes off the one that it finds as the message leaves. So each
// encoding is either found or comes in between and adds itself, though nothing is
// locked: encoding a large payload takes a shard longer than others may wait.
func (m *Message) weigh(bytes int) {
	units := (allocated(bytes) + encodingBytes) / weightUnit
	if m.weight.Add(uint32(units))&inRing != 0 {
		m.ring.Load().encoded(units * weightUnit)
	}
}

// enter has r count the message's encodings. A message enters one ring, once.
func (m *Message) enter(r *ring) {
	m.ring.Store(r)
	r.encoded(weightOf(m.weight.Or(inRing)))
}

// leave is the end of it.
func (m *Message) leave(r *ring) { r.encoded(-weightOf(m.weight.And(^uint32(inRing)))) }

// encoded counts encodings of the ring's messages, with or without the link's mu.
func (r *ring) encoded(bytes int) {
	if bytes == 0 {
		return
	}
	r.encodings.Add(int64(bytes))
	if r.all.bytes.Add(int64(bytes)) > int64(r.all.total) && bytes > 0 {
		r.all.over.send()
	}
}
