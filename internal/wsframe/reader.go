// Package wsframe reads and writes WebSocket frames (RFC 6455, no extensions)
// for either end of a connection.
//
// The Reader takes whatever bytes a non-blocking socket gave, stops at any one
// of them and goes on with the next; it holds no buffer of the message. The
// rules of headers, close frames and masks are github.com/gobwas/ws's; this package
// adds the resumable part.
package wsframe

import "github.com/gobwas/ws"

// Side is the end of the connection that reads.
type Side uint8

const (
	// Server reads the frames of a client: every frame must be masked.
	Server Side = iota
	// Client reads the frames of a server: no frame may be masked.
	Client
)

// Kind is the kind of an Event.
type Kind uint8

const (
	// NeedMore: all input was taken and nothing is complete.
	NeedMore Kind = iota
	// Data: a piece of a text or binary message.
	Data
	// Ping, Pong and Close: a whole control frame.
	Ping
	Pong
	Close
)

// Event is the next part of the input. Its slices belong to the caller's input or to the
// Reader and are valid until the next call.
type Event struct {
	Kind Kind
	// Op is the type of the message for Data, also in its continuations, and
	// the frame's own opcode otherwise.
	Op ws.OpCode
	// Final says that the message ends with this piece.
	Final bool
	// Code is the status code of a Close, 1005 where it carried none.
	Code ws.StatusCode
	// Payload is unmasked: in place in the input for Data, the whole payload
	// for a control frame. Only the last piece of a message can be empty.
	Payload []byte
	// Reason is the text of a Close, a part of Payload.
	Reason []byte
}

// Reader takes a connection's incoming bytes apart. It can stop at every byte
// and holds no more than a partial header, a partial control payload and three
// bytes of a split character. It has no pointers, so that many of them cost
// the garbage collector nothing.
//
// A Reader that is Idle behaves like a new one: it needn't be kept between
// messages.
type Reader struct {
	// Immutable
	limit int64 // bytes a message may have over all its frames
	side  Side

	// The connection: ended once a Close was read, failed for good otherwise.
	ended  bool
	failed failure
	frames int64 // that have begun since TakeFrames

	// The message under way.
	op   ws.OpCode // ws.OpContinuation where there is none
	text text
	size int64 // bytes announced by the frames so far

	// The header under way.
	got  uint8
	head [ws.MaxHeaderSize]byte

	// The frame under way, its header complete.
	open    bool
	fin     bool
	frameOp ws.OpCode
	phase   uint8 // position in mask
	mask    [4]byte
	left    int64 // unread payload bytes

	// The control payload under way, as received.
	held    uint8
	control [ws.MaxControlFramePayloadSize]byte
}

// NewReader returns a Reader for one end of a connection. maxMessage is the
// most bytes a message may have over all its fragments; 0 allows only empty
// messages.
func NewReader(side Side, maxMessage int64) Reader {
	return Reader{side: side, limit: maxMessage}
}

// Idle reports whether the Reader stands between two messages with nothing
// held, so that a new Reader would do as well.
func (r *Reader) Idle() bool {
	return r.got == 0 && !r.open && r.op == ws.OpContinuation && !r.ended && r.failed == ok
}

// Left returns how many bytes of the frame under way are unread, 0 between two frames.
func (r *Reader) Left() int64 {
	if !r.open {
		return 0
	}
	return r.left
}

// TakeFrames returns the number of frames that have begun, in units of each, less
// the units that it returned before. A fragment without data is no event, and costs
// something too.
func (r *Reader) TakeFrames(each int) (times int) {
	times = int(r.frames) / each
	r.frames -= int64(times * each)
	return times
}

// Next takes n bytes of p up to the end of the next event and unmasks their
// payload in place. Once p is used up nothing is pending: every event is returned
// with the last byte that it needs.
//
// err is an *Error: the connection must be failed with its Code, and every
// later call returns it again. After a Close all input is dropped, as RFC 6455
// section 1.4 has it.
func (r *Reader) Next(p []byte) (ev Event, n int, err error) {
	if r.failed != ok {
		return Event{}, 0, &failures[r.failed]
	}
	if r.ended {
		return Event{}, len(p), nil
	}
	for {
		if !r.open {
			k, f := r.header(p[n:])
			n += k
			if f != ok {
				return Event{}, n, r.fail(f)
			}
			if !r.open {
				return Event{}, n, nil
			}
		}
		var k int
		var f failure
		if r.frameOp.IsControl() {
			ev, k, f = r.controlPayload(p[n:])
		} else {
			ev, k, f = r.dataPayload(p[n:])
		}
		n += k
		if f != ok {
			return Event{}, n, r.fail(f)
		}
		// An empty fragment is neither an event nor the end of the input.
		if ev.Kind != NeedMore || r.open {
			return ev, n, nil
		}
	}
}

func (r *Reader) fail(f failure) error {
	r.failed = f
	return &failures[f]
}
