// Package message holds messages of channels: the forms in which clients get them, and
// the positions and cursors that say where in the channels a client stands. It knows
// neither Redis nor subscribers.
package message

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/pushgate/pushgate/fanout/internal/memory"
)

// Form is one of the ways in which a message goes over the wire.
type Form uint8

const (
	// FormText is a WebSocket text frame with the message's JSON object.
	FormText Form = iota
	// FormRaw is a WebSocket frame with the bare payload: a text frame when it is UTF-8,
	// else a binary one.
	FormRaw
	// FormEvent is a server-sent event with the JSON object.
	FormEvent
	// FormRawEvent is a server-sent event with the bare payload. An event stream is text: other
	// bytes are base64 in an event named message_base64.
	FormRawEvent
	// FormJSON is the JSON object alone.
	FormJSON
	// FormData is the payload as a JSON value: itself, a string, or an object with
	// data_base64.
	FormData

	// Forms is the number of forms.
	Forms
)

// Message is a publication to a channel on its way to all its subscribers. The encodings are
// made on first need and shared by all callers; an unused form costs nothing. It is safe for
// concurrent use.
type Message struct {
	// Immutable once the message is shared.

	Channel string
	ID      Position          // of the message in its channel
	Payload []byte            // shared: nobody may write to it
	User    string            // the publisher, where a client's token or the publisher names one
	notice  func(Form) []byte // nil in a published message
	// Previous is the durable message before this one, or a place after it.
	Previous StreamID
	// Arrived is the time at which the message reached this node, in microseconds since 1970,
	// and the Seq of the plain position after it; 0 for a message that was read from a stream.
	Arrived uint64
	Seq     uint32 // order in the channel on this node, starts at 1, wraps

	// Guarded by mu.

	kind payloadKind // fits behind Seq
	mu   sync.Mutex

	// Atomic: see weigh.

	weight atomic.Uint32
	meter  atomic.Pointer[Meter] // the one that counts the message, or did

	// Atomic: written under mu, read without it.

	encoded atomic.Pointer[encoding] // the latest one
}

// encoding is a message in one form. The fields don't change.
type encoding struct {
	bytes []byte
	next  *encoding // the one that was made before
	form  Form
}

// New makes a message and takes payload over: nobody may write to it any more. The
// channel's name is a valid one.
func New(channel string, id Position, seq uint32, payload []byte) *Message {
	m := &Message{Channel: channel, ID: id, Seq: seq, Payload: payload}
	if id.Durable() {
		m.Previous = id.StreamID().Before()
	}
	return m
}

// NewNotice makes a notice to all subscribers of a channel in order with its messages, such as
// a gap. It follows the message seq and precedes the next one; encode makes its forms, nil for
// one that it lacks.
func NewNotice(channel string, seq uint32, encode func(Form) []byte) *Message {
	return &Message{Channel: channel, Seq: seq, notice: encode}
}

// Before returns the durable position just before the message: the position of the durable
// message before it where known. It is zero for the first one of a stream, and for a plain
// message of a channel without a stream.
func (m *Message) Before() Position { return m.Previous.Position() }

// Notice reports whether m was made by NewNotice.
func (m *Message) Notice() bool { return m.notice != nil }

// Encoded returns the message in form f. One goroutine does the work. The bytes are
// shared: nobody may write to them.
func (m *Message) Encoded(f Form) []byte {
	if e := m.find(f); e != nil {
		return e.bytes
	}
	return m.encode(f)
}

// IsEncoded reports whether Encoded has only to look it up.
func (m *Message) IsEncoded(f Form) bool { return m.find(f) != nil }

// find returns the encoding in form f, nil where it hasn't been made. A message is seldom
// needed in more than two forms.
func (m *Message) find(f Form) *encoding {
	e := m.encoded.Load()
	for e != nil && e.form != f {
		e = e.next
	}
	return e
}

func (m *Message) encode(f Form) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.find(f); e != nil {
		return e.bytes
	}
	var b []byte
	if m.notice != nil {
		b = m.notice(f)
	} else {
		if m.kind == payloadUnknown {
			m.kind = payloadKindOf(m.Payload)
		}
		b = appendForm(nil, f, m)
	}
	m.encoded.Store(&encoding{b, m.encoded.Load(), f})
	m.weigh(cap(b))
	return b
}

const (
	// messageBytes is a Message with nothing behind it.
	messageBytes = (int(unsafe.Sizeof(Message{})) + memory.Unit - 1) &^ (memory.Unit - 1)
	// encodingBytes is an encoding besides its bytes.
	encodingBytes = (int(unsafe.Sizeof(encoding{})) + memory.Unit - 1) &^ (memory.Unit - 1)
	// metered is the bit of a weight for a message that a meter counts. The others count
	// in memory.Unit.
	metered = 1 << 31
)

// OwnBytes returns the memory of the message without its encodings.
func (m *Message) OwnBytes() int {
	return messageBytes + memory.Allocated(cap(m.Payload)) + memory.Allocated(len(m.User))
}

// Bytes returns the memory of the message and of its present encodings. A later encoding
// adds its own.
func (m *Message) Bytes() int { return m.OwnBytes() + weightOf(m.weight.Load()) }

// PendingBytes returns the memory of a message that waits to be delivered: itself, its
// place, and the one encoding that most messages get, whether it's there or not, so that
// the figure doesn't change while the message waits.
func (m *Message) PendingBytes() int {
	return m.OwnBytes() + 2*memory.PointerBytes + memory.Allocated(len(m.Payload)*4/3+len(m.Channel)+64+encodingBytes)
}

func weightOf(w uint32) int { return int(w&^metered) * memory.Unit }

// Meter counts the memory of the encodings of the messages that are kept together.
type Meter struct {
	// OnChange is called with each change, in bytes, by whichever goroutine encodes a
	// message. It must not block. Immutable.
	OnChange func(bytes int)

	bytes atomic.Int64
}

// Bytes returns the present count.
func (t *Meter) Bytes() int { return int(t.bytes.Load()) }

func (t *Meter) add(bytes int) {
	if bytes != 0 {
		t.bytes.Add(int64(bytes))
		t.OnChange(bytes)
	}
}

// weigh counts an encoding: always in the message's weight, and where a meter counts the
// message, there too. A meter counts the weight that it finds as the message enters, and takes
// off the one that it finds as the message leaves. So each encoding is either found or is made
// in between and adds itself, though nothing is locked: encoding a large payload takes longer
// than others may wait.
func (m *Message) weigh(bytes int) {
	units := (memory.Allocated(bytes) + encodingBytes) / memory.Unit
	if m.weight.Add(uint32(units))&metered != 0 {
		m.meter.Load().add(units * memory.Unit)
	}
}

// Enter has t count the message's encodings. A message enters one meter, once.
func (m *Message) Enter(t *Meter) {
	m.meter.Store(t)
	t.add(weightOf(m.weight.Or(metered)))
}

// Leave ends the count.
func (m *Message) Leave(t *Meter) { t.add(-weightOf(m.weight.And(^uint32(metered)))) }
