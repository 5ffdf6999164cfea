package wsframe

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxReason is the room that a close frame's code leaves in a control payload.
const maxReason = ws.MaxControlFramePayloadSize - 2

// AppendHeader appends the unmasked header of a frame with n bytes of payload.
// A control frame must be final and have at most 125 bytes; this is not
// checked here nor by the other functions that append.
func AppendHeader(dst []byte, op ws.OpCode, fin bool, n int) []byte {
	return appendHeader(dst, op, fin, n, 0)
}

// AppendFrame appends a whole unmasked message or control frame.
func AppendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = appendHeader(dst, op, true, len(payload), 0)
	return append(dst, payload...)
}

// AppendMasked appends a whole masked frame, as clients must send them.
// payload is left as it is.
func AppendMasked(dst []byte, op ws.OpCode, payload []byte, mask [4]byte) []byte {
	dst = appendHeader(dst, op, true, len(payload), 0x80)
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}

// AppendClose appends an unmasked close frame. Code 1005 stands for none: the
// frame is then empty. A reason that doesn't fit is cut between characters.
func AppendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	if code == ws.StatusNoStatusRcvd {
		return appendHeader(dst, ws.OpClose, true, 0, 0)
	}
	if len(reason) > maxReason {
		cut := maxReason
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	dst = appendHeader(dst, ws.OpClose, true, 2+len(reason), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// appendHeader appends a header up to its length; masked is the bit that
// announces a mask.
func appendHeader(dst []byte, op ws.OpCode, fin bool, n int, masked byte) []byte {
	b0 := byte(op)
	if fin {
		b0 |= 0x80
	}
	switch {
	case n < 126:
		return append(dst, b0, masked|byte(n))
	case n <= 0xffff:
		dst = append(dst, b0, masked|126)
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	dst = append(dst, b0, masked|127)
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}
