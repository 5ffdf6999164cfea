package wsframe

import (
	"bytes"
	"fmt"

	"github.com/gobwas/ws"
)

// item is a whole message or control frame, however many events it took.
type item struct {
	kind    Kind
	op      ws.OpCode
	payload string
	code    ws.StatusCode
}

// outcome describes an input: its items, the message that it leaves unfinished, and the failure
// with the byte that decided it.
type outcome struct {
	items    []item
	partial  string
	code     ws.StatusCode
	failedAt int
}

func (o outcome) equal(p outcome) bool {
	if len(o.items) != len(p.items) {
		return false
	}
	for i := range o.items {
		if o.items[i] != p.items[i] {
			return false
		}
	}
	return o.partial == p.partial && o.code == p.code && o.failedAt == p.failedAt
}

func (o outcome) String() string {
	return fmt.Sprintf("%+v partial=%q code=%d at=%d", o.items, o.partial, o.code, o.failedAt)
}

// reference reads a whole input at once, written from RFC 6455 alone: it shares
// neither code nor library with the Reader.
func reference(side Side, limit int64, in []byte) (o outcome) {
	var message []byte // of the fragmented message under way
	var op byte        // its opcode, 0 for none
	var utf utfState
	fail := func(code ws.StatusCode, at int) outcome {
		o.code, o.failedAt, o.partial = code, at, string(message)
		return o
	}
	for pos := 0; ; {
		rest := in[pos:]
		if len(rest) < 2 {
			o.partial = string(message)
			return o
		}
		final, rsv, code := rest[0]&0x80 != 0, rest[0]&0x70, rest[0]&0x0f
		masked, short := rest[1]&0x80 != 0, uint64(rest[1]&0x7f)
		control := code >= 8
		known := code <= 2 || code >= 8 && code <= 10
		switch {
		case rsv != 0, !known, masked != (side == Server),
			control && (!final || short > 125),
			code == 0 && op == 0, (code == 1 || code == 2) && op != 0,
			code == 8 && short == 1:
			return fail(1002, pos+2)
		}
		extra := map[uint64]int{126: 2, 127: 8}[short]
		if len(rest) < 2+extra {
			o.partial = string(message)
			return o
		}
		length := short
		if extra > 0 {
			length = 0
			for _, b := range rest[2 : 2+extra] {
				length = length<<8 | uint64(b)
			}
			if extra == 2 && length < 126 || extra == 8 && (length < 65536 || length >= 1<<63) {
				return fail(1002, pos+2+extra)
			}
		}
		if !control && length > uint64(limit)-uint64(len(message)) {
			return fail(1009, pos+2+extra)
		}
		start := 2 + extra
		var key []byte
		if masked {
			if len(rest) < start+4 {
				o.partial = string(message)
				return o
			}
			key = rest[start : start+4]
			start += 4
		}
		end := min(uint64(len(rest)), uint64(start)+length)
		payload := bytes.Clone(rest[start:end])
		for i := range payload {
			if masked {
				payload[i] ^= key[i%4]
			}
		}
		complete := uint64(len(payload)) == length
		at := pos + int(end)

		if control {
			if !complete {
				o.partial = string(message)
				return o
			}
			it := item{op: ws.OpCode(code), payload: string(payload)}
			switch code {
			case 8:
				it.kind, it.code = Close, 1005
				if length > 0 {
					it.code = ws.StatusCode(payload[0])<<8 | ws.StatusCode(payload[1])
					if !codeOnWire(int(it.code)) {
						return fail(1002, at)
					}
					var reason utfState
					for _, b := range payload[2:] {
						if !reason.step(b) {
							return fail(1007, at)
						}
					}
					if !reason.between() {
						return fail(1007, at)
					}
				}
			case 9:
				it.kind = Ping
			case 10:
				it.kind = Pong
			}
			o.items = append(o.items, it)
			if code == 8 {
				// Bytes behind a close are ignored.
				o.partial = string(message)
				return o
			}
			pos = at
			continue
		}

		if code != 0 {
			op, utf = code, utfState{}
		}
		for i, b := range payload {
			if op == 1 && !utf.step(b) {
				return fail(1007, pos+start+i+1)
			}
			message = append(message, b)
		}
		if !complete {
			o.partial = string(message)
			return o
		}
		if final {
			if op == 1 && !utf.between() {
				// The last byte decides, or the header of an empty last frame.
				if len(payload) > 0 {
					message = message[:len(message)-1]
				}
				return fail(1007, at)
			}
			o.items = append(o.items, item{kind: Data, op: ws.OpCode(op), payload: string(message)})
			message, op = nil, 0
		}
		pos = at
	}
}

// codeOnWire says which close codes may be sent: RFC 6455 section 7.4 and the
// codes that IANA registered since.
func codeOnWire(code int) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code == 1004 || code == 1005 || code == 1006:
		return false
	}
	return code >= 1000 && code <= 1014
}

// utfState walks through UTF-8 by table 3-7 of the Unicode standard.
type utfState struct {
	more     int
	low, top byte
}

func (u *utfState) between() bool { return u.more == 0 }

func (u *utfState) step(b byte) bool {
	if u.more > 0 {
		good := b >= u.low && b <= u.top
		u.more--
		u.low, u.top = 0x80, 0xbf
		return good
	}
	u.low, u.top = 0x80, 0xbf
	switch {
	case b < 0x80:
	case b >= 0xc2 && b <= 0xdf:
		u.more = 1
	case b >= 0xe0 && b <= 0xef:
		u.more = 2
		switch b {
		case 0xe0:
			u.low = 0xa0
		case 0xed:
			u.top = 0x9f
		}
	case b >= 0xf0 && b <= 0xf4:
		u.more = 3
		switch b {
		case 0xf0:
			u.low = 0x90
		case 0xf4:
			u.top = 0x8f
		}
	default:
		return false
	}
	return true
}
