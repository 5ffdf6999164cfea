package fanout

import (
	"sync"
	"sync/atomic"
)

// Form is one of the ways in which a message goes over the wire.
type Form uint8

const (
	// FormText is a WebSocket text frame with the message's JSON object.
	FormText Form = iota
	// FormRaw is a WebSocket frame with the bare payload: a text frame when
	// it is UTF-8, else a binary one.
	FormRaw
	// FormEvent is a server-sent event with the JSON object.
	FormEvent
	// FormRawEvent is a server-sent event with the bare payload. An event
	// stream is text: other bytes come as base64 in an event of the name
	// message_base64.
	FormRawEvent
	// FormJSON is the JSON object alone.
	FormJSON
	// FormData is the payload as a JSON value: itself, a string, or an object
	// with data_base64.
	FormData

	formCount
)

// Message is what was published to a channel once, on its way to all its
// subscribers. The encodings are made on first need and shared by all shards;
// a form that nobody uses costs nothing.
type Message struct {
	// Immutable.

	Channel string
	ID      Position
	Payload []byte
	User    string            // who published it, where a client with a token did or the publisher says so
	notice  func(Form) []byte // nil in a published message
	last    streamID          // of the durable message before it, or not before that
	at      uint64            // when it came to this node; 0: it was read from a stream
	Seq     uint32            // order in the channel on this node, starts at 1, wraps

	// Guarded by mu.

	kind payloadKind // fits behind Seq
	mu   sync.Mutex

	// Atomic: see weigh.

	weight atomic.Uint32
	ring   atomic.Pointer[ring] // the one that has kept it, and may have let it go

	// Atomic: written under mu, read without it.

	encoded atomic.Pointer[encoding] // the latest one
}

// encoding is a message in one form. The fields don't change.
type encoding struct {
	bytes []byte
	next  *encoding // the one that was made before
	form  Form
}

// NewMessage makes a message and takes payload over: nobody may write to it
// any more. The channel's name is a valid one.
func NewMessage(channel string, id Position, seq uint32, payload []byte) *Message {
	m := &Message{Channel: channel, ID: id, Seq: seq, Payload: payload}
	if id.Durable() {
		m.last = idOf(id).before()
	}
	return m
}

// NewNotice makes something else that all subscribers of a channel are told in
// order with its messages, such as a gap. It comes after the message seq and
// before the next one; encode makes its forms, nil for one that it lacks.
func NewNotice(channel string, seq uint32, encode func(Form) []byte) *Message {
	return &Message{Channel: channel, Seq: seq, notice: encode}
}

// Before returns the durable position just before the message: that of the
// durable message before it where that is known. It is zero for the first one
// of a stream, and for a plain message of a channel without a stream.
func (m *Message) Before() Position { return m.last.position() }

// At returns the number of the plain position after the message on this node,
// 0 for one that was read from a stream. The position before it is one less.
func (m *Message) At() uint64 { return m.at }

// Notice reports whether m was made by NewNotice.
func (m *Message) Notice() bool { return m.notice != nil }

// Encoded returns the message in form f. It is safe for concurrent use, and
// one goroutine does the work. The bytes are shared: nobody may write to them.
func (m *Message) Encoded(f Form) []byte {
	if e := m.find(f); e != nil {
		return e.bytes
	}
	return m.encode(f)
}

// IsEncoded reports whether Encoded has only to look it up.
func (m *Message) IsEncoded(f Form) bool { return m.find(f) != nil }

// find returns the encoding in form f, nil where it hasn't been made. A message is
// seldom needed in more than two forms.
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
