package wsframe

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// dataPayload returns the part of a message that is in p.
func (r *Reader) dataPayload(p []byte) (ev Event, n int, f failure) {
	n = len(p)
	if int64(n) > r.left {
		n = int(r.left)
	}
	piece := p[:n:n]
	if r.side == Server {
		ws.Cipher(piece, r.mask, int(r.phase))
		r.phase = (r.phase + uint8(n&3)) & 3
	}
	r.left -= int64(n)
	r.open = r.left > 0
	final := !r.open && r.fin
	if r.op == ws.OpText {
		// RFC 6455 section 8.1: text must be UTF-8; it is a message's
		// property, so characters may be split by fragments.
		if !r.text.take(piece) || final && !r.text.whole() {
			return Event{}, n, failText
		}
	}
	if n > 0 || final {
		ev = Event{Kind: Data, Op: r.op, Payload: piece, Final: final}
	}
	if final {
		r.op = ws.OpContinuation
		r.size = 0
	}
	return ev, n, ok
}

// controlPayload returns a control frame once all of it is there: from p where it arrived in
// one piece, else from r.control.
func (r *Reader) controlPayload(p []byte) (ev Event, n int, f failure) {
	n = min(len(p), int(r.left))
	r.left -= int64(n)
	payload := p[:n:n]
	if r.held > 0 || r.left > 0 {
		copy(r.control[r.held:], payload)
		r.held += uint8(n)
		if r.left > 0 {
			return Event{}, n, ok
		}
		payload = r.control[:r.held:r.held]
	}
	if r.side == Server {
		ws.Cipher(payload, r.mask, 0)
	}
	r.open = false
	r.held = 0

	ev = Event{Op: r.frameOp, Payload: payload, Final: true}
	switch r.frameOp {
	case ws.OpPing:
		ev.Kind = Ping
	case ws.OpPong:
		ev.Kind = Pong
	default:
		ev.Kind = Close
		ev.Code, ev.Reason, f = closeBody(payload)
		r.ended = f == ok
	}
	return ev, n, f
}

// closeBody takes the payload of a close frame apart, which is empty or at
// least two bytes long (RFC 6455 section 5.5.1).
func closeBody(payload []byte) (code ws.StatusCode, reason []byte, f failure) {
	if len(payload) == 0 {
		return ws.StatusNoStatusRcvd, nil, ok
	}
	code = ws.StatusCode(binary.BigEndian.Uint16(payload))
	reason = payload[2:]
	if !closeCodeAllowed(code) {
		return 0, nil, failCloseCode
	}
	if !utf8.Valid(reason) {
		return 0, nil, failCloseText
	}
	return code, reason, ok
}

// closeCodeAllowed reports whether a close frame may carry code. RFC 6455
// section 7.4.2 lets IANA assign codes below 3000; 1012 to 1014 came after
// ws.CheckCloseFrameData was written, and the ranges end at 4999.
func closeCodeAllowed(code ws.StatusCode) bool {
	switch code {
	case 1012, 1013, 1014:
		return true
	}
	return code <= ws.StatusRangePrivate.Max && ws.CheckCloseFrameData(code, "") == nil
}

// text checks that a message is UTF-8 as it is read. It keeps the bytes of a character that was
// split, and refuses with the first byte after which no continuation could make the text valid.
type text struct {
	n    uint8
	part [utf8.UTFMax - 1]byte
}

// take checks p as the continuation of the text so far.
func (t *text) take(p []byte) bool {
	if t.n > 0 {
		var char [utf8.UTFMax]byte
		had := copy(char[:], t.part[:t.n])
		n := had + copy(char[had:], p)
		if !utf8.FullRune(char[:n]) {
			// Fewer than four bytes in all, or the character were full.
			t.n = uint8(copy(t.part[:], char[:n]))
			return true
		}
		r, size := utf8.DecodeRune(char[:n])
		if r == utf8.RuneError && size == 1 {
			return false
		}
		p = p[size-had:]
		t.n = 0
	}
	whole := wholeChars(p)
	if !utf8.Valid(p[:whole]) {
		return false
	}
	t.n = uint8(copy(t.part[:], p[whole:]))
	return true
}

// whole reports whether the text so far ends with a whole character.
func (t *text) whole() bool { return t.n == 0 }

// wholeChars returns the length of p without a split character at its end.
func wholeChars(p []byte) int {
	for i := len(p) - 1; i >= 0 && i >= len(p)-(utf8.UTFMax-1); i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return i
			}
			break
		}
	}
	return len(p)
}
