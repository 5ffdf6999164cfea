package wsframe

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// header gathers a frame's header from p and opens the frame once it is
// complete. Each rule is applied with the first byte that decides it: a frame
// that is too big fails before its mask or any payload was waited for.
func (r *Reader) header(p []byte) (n int, f failure) {
	if r.got < 2 {
		n = copy(r.head[r.got:2], p)
		r.got += uint8(n)
		if r.got < 2 {
			return n, ok
		}
		if f = r.checkStart(); f != ok {
			return n, f
		}
	}

	// RFC 6455 section 5.2: 126 and 127 announce a length of 2 and 8 bytes.
	lengthEnd := uint8(2)
	switch r.head[1] & 0x7f {
	case 126:
		lengthEnd += 2
	case 127:
		lengthEnd += 8
	}
	end := lengthEnd
	if r.side == Server {
		end += uint8(len(r.mask))
	}
	k := copy(r.head[r.got:end], p[n:])
	r.got += uint8(k)
	n += k
	if r.got < lengthEnd {
		return n, ok
	}
	length, f := r.length(lengthEnd)
	if f != ok || r.got < end {
		return n, f
	}

	r.frames++
	r.openFrame(length)
	copy(r.mask[:], r.head[lengthEnd:end])
	return n, ok
}

// checkStart applies the rules that need only the first two bytes.
func (r *Reader) checkStart() failure {
	b0, b1 := r.head[0], r.head[1]
	h := ws.Header{
		Fin:    b0&0x80 != 0,
		Rsv:    b0 >> 4 & 0x7,
		OpCode: ws.OpCode(b0 & 0xf),
		Masked: b1&0x80 != 0,
		// The short length: 126 and 127 are too much for a control frame
		// whatever follows, and other frames are not judged by it.
		Length: int64(b1 & 0x7f),
	}
	state := ws.StateServerSide
	if r.side == Client {
		state = ws.StateClientSide
	}
	if r.op != ws.OpContinuation {
		state = state.Set(ws.StateFragmented)
	}
	if f := headerFailure(ws.CheckHeader(h, state)); f != ok {
		return f
	}
	// RFC 6455 section 5.5.1: a close body starts with a code of two bytes.
	if h.OpCode == ws.OpClose && h.Length == 1 {
		return failCloseLength
	}
	return ok
}

// length returns the payload's length, held by r.head up to end.
func (r *Reader) length(end uint8) (length int64, f failure) {
	switch end {
	case 2:
		length = int64(r.head[1] & 0x7f)
	case 4:
		length = int64(binary.BigEndian.Uint16(r.head[2:]))
		// RFC 6455 section 5.2: the minimal number of bytes must be used.
		if length < 126 {
			return 0, failLengthForm
		}
	default:
		u := binary.BigEndian.Uint64(r.head[2:])
		if u>>63 != 0 {
			return 0, failLengthRange
		}
		if u <= 0xffff {
			return 0, failLengthForm
		}
		length = int64(u)
	}
	// size never exceeds limit, so the difference can't overflow.
	if ws.OpCode(r.head[0]&0xf).IsData() && length > r.limit-r.size {
		return 0, failTooBig
	}
	return length, ok
}

// openFrame turns the complete header into the frame under way.
func (r *Reader) openFrame(length int64) {
	r.open = true
	r.fin = r.head[0]&0x80 != 0
	r.frameOp = ws.OpCode(r.head[0] & 0xf)
	r.phase = 0
	r.left = length
	r.got = 0
	if r.frameOp.IsControl() {
		return
	}
	r.size += length
	if r.frameOp != ws.OpContinuation {
		r.op = r.frameOp
	}
}
