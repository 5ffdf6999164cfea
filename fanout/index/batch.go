package index

import "github.com/pushgate/pushgate/fanout/message"

const (
	// batchMessages and batchBytes end a batch: more would not fit the socket's buffer
	// (16 KiB by default) and land in the client's queue.
	batchMessages = 64
	batchBytes    = 64 << 10
)

// Batch is one or more messages of a channel that go to a subscriber together. It is
// valid only during the call that hands it over, and so is the slice of a single message;
// all else that its methods return stays good.
type Batch struct {
	messages []*message.Message
	encoded  *[message.Forms][]byte // nil until needed, and for a single message
}

// Messages returns the messages in order. Nobody may write to the slice.
func (b *Batch) Messages() []*message.Message { return b.messages }

// Count returns the number of messages.
func (b *Batch) Count() int { return len(b.messages) }

// Encoded returns all messages in form f, one behind the other; JSON objects are
// separated by commas, as in an array. It is made once for all subscribers of the shard,
// and shared: nobody may write to it.
func (b *Batch) Encoded(f message.Form) []byte {
	if len(b.messages) == 1 {
		return b.messages[0].Encoded(f)
	}
	if b.encoded == nil {
		b.encoded = new([message.Forms][]byte)
	}
	if b.encoded[f] == nil {
		b.encoded[f] = b.join(f)
	}
	return b.encoded[f]
}

func (b *Batch) join(f message.Form) []byte {
	size := len(b.messages)
	for _, m := range b.messages {
		size += len(m.Encoded(f))
	}
	joined := make([]byte, 0, size)
	for _, m := range b.messages {
		e := m.Encoded(f)
		if (f == message.FormJSON || f == message.FormData) && len(joined) != 0 && len(e) != 0 {
			joined = append(joined, ',')
		}
		joined = append(joined, e...)
	}
	return joined
}

// upTo returns how many of the batch's messages are not after seq. A notice is after the
// message that it has the number of.
func (b *Batch) upTo(seq uint32) int {
	for i, m := range b.messages {
		if seqAfter(m.Seq, seq) || m.Seq == seq && m.Notice() {
			return i
		}
	}
	return len(b.messages)
}

// seqAfter compares serial numbers that wrap (RFC 1982).
func seqAfter(a, b uint32) bool { return int32(a-b) > 0 }
