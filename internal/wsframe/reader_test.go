package wsframe

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

const testLimit = 1 << 17

// valid holds inputs that a Reader takes, for either side.
var valid = map[string]struct {
	in   func(to Side) []byte
	want []item
}{
	"empty text":   {func(s Side) []byte { return frame(s, fin|1, "") }, []item{{kind: Data, op: ws.OpText}}},
	"empty binary": {func(s Side) []byte { return frame(s, fin|2, "") }, []item{{kind: Data, op: ws.OpBinary}}},
	"text": {func(s Side) []byte { return frame(s, fin|1, "Hellö, 世界 𝄞") },
		[]item{{kind: Data, op: ws.OpText, payload: "Hellö, 世界 𝄞"}}},
	"binary that is not UTF-8": {func(s Side) []byte { return frame(s, fin|2, "\xff\xfe\x00") },
		[]item{{kind: Data, op: ws.OpBinary, payload: "\xff\xfe\x00"}}},
	"longest 7-bit length": {func(s Side) []byte { return frame(s, fin|1, strings.Repeat("a", 125)) },
		[]item{{kind: Data, op: ws.OpText, payload: strings.Repeat("a", 125)}}},
	"shortest 16-bit length": {func(s Side) []byte { return frame(s, fin|1, strings.Repeat("b", 126)) },
		[]item{{kind: Data, op: ws.OpText, payload: strings.Repeat("b", 126)}}},
	"longest 16-bit length": {func(s Side) []byte { return frame(s, fin|2, strings.Repeat("c", 65535)) },
		[]item{{kind: Data, op: ws.OpBinary, payload: strings.Repeat("c", 65535)}}},
	"shortest 64-bit length": {func(s Side) []byte { return frame(s, fin|2, strings.Repeat("d", 65536)) },
		[]item{{kind: Data, op: ws.OpBinary, payload: strings.Repeat("d", 65536)}}},
	"message of just the limit": {func(s Side) []byte { return frame(s, fin|1, strings.Repeat("e", testLimit)) },
		[]item{{kind: Data, op: ws.OpText, payload: strings.Repeat("e", testLimit)}}},
	"fragments of just the limit, twice": {func(s Side) []byte {
		half := strings.Repeat("f", testLimit/2)
		one := join(frame(s, 1, half), frame(s, fin|0, half))
		return join(one, one)
	}, []item{{kind: Data, op: ws.OpText, payload: strings.Repeat("f", testLimit)},
		{kind: Data, op: ws.OpText, payload: strings.Repeat("f", testLimit)}}},
	"character split by fragments": {func(s Side) []byte {
		return join(frame(s, 1, "\xf0"), frame(s, 0, ""), frame(s, 0, "\x9d\x84"), frame(s, fin|0, "\x9e!"))
	}, []item{{kind: Data, op: ws.OpText, payload: "𝄞!"}}},
	"empty fragments": {func(s Side) []byte {
		return join(frame(s, 1, ""), frame(s, 0, ""), frame(s, fin|0, ""))
	}, []item{{kind: Data, op: ws.OpText}}},
	"control frames between fragments": {func(s Side) []byte {
		return join(frame(s, 2, "ab"), frame(s, fin|9, "p"), frame(s, 0, "cd"), frame(s, fin|10, "q"), frame(s, fin|0, "ef"))
	}, []item{{kind: Ping, op: ws.OpPing, payload: "p"}, {kind: Pong, op: ws.OpPong, payload: "q"},
		{kind: Data, op: ws.OpBinary, payload: "abcdef"}}},
	"ping inside a split character": {func(s Side) []byte {
		return join(frame(s, 1, "\xe4\xb8"), frame(s, fin|9, "\xff"), frame(s, fin|0, "\x96"))
	}, []item{{kind: Ping, op: ws.OpPing, payload: "\xff"}, {kind: Data, op: ws.OpText, payload: "世"}}},
	"control frames of 0 and 125 bytes": {func(s Side) []byte {
		return join(frame(s, fin|9, ""), frame(s, fin|10, strings.Repeat("x", 125)))
	}, []item{{kind: Ping, op: ws.OpPing}, {kind: Pong, op: ws.OpPong, payload: strings.Repeat("x", 125)}}},
	"close without a body, then rubbish": {func(s Side) []byte { return join(frame(s, fin|8, ""), []byte("\xff\xff")) },
		[]item{{kind: Close, op: ws.OpClose, code: 1005}}},
	"close inside a fragmented message": {func(s Side) []byte {
		return join(frame(s, 1, ""), frame(s, fin|8, closeText(1001, "going ☂")))
	}, []item{{kind: Close, op: ws.OpClose, code: 1001, payload: closeText(1001, "going ☂")}}},
	"close with the longest reason": {func(s Side) []byte { return frame(s, fin|8, closeText(4002, strings.Repeat("r", 123))) },
		[]item{{kind: Close, op: ws.OpClose, code: 4002, payload: closeText(4002, strings.Repeat("r", 123))}}},
}

func TestReaderTakes(t *testing.T) {
	for name, c := range valid {
		t.Run(name, func(t *testing.T) {
			bothSides(t, func(t *testing.T, side Side) {
				in := c.in(side)
				want := outcome{items: c.want}
				for name, split := range map[string]func() int{
					"at once": allAtOnce, "byte by byte": byteByByte, "by 7 and 3": bySizes([]byte{7, 3}),
				} {
					if got := drive(t, side, testLimit, in, split); !got.equal(want) {
						t.Errorf("%s: got %.300v, want %.300v", name, got, want)
					}
				}
			})
		})
	}
}

// invalid holds inputs that fail. Each is decided by its last byte.
var invalid = map[string]struct {
	in   func(to Side) []byte
	code ws.StatusCode
	text string
}{
	"mask of the wrong side": {func(s Side) []byte { return frame(1-s, fin|1, "a")[:2] }, 1002, "masked"},
	"first reserved bit":     {func(s Side) []byte { return frame(s, fin|0x40|1, "")[:2] }, 1002, "reserved bits"},
	"second reserved bit":    {func(s Side) []byte { return frame(s, fin|0x20|2, "")[:2] }, 1002, "reserved bits"},
	"third reserved bit":     {func(s Side) []byte { return frame(s, fin|0x10|9, "")[:2] }, 1002, "reserved bits"},
	"opcode 3":               {func(s Side) []byte { return frame(s, fin|3, "")[:2] }, 1002, "opcode"},
	"opcode 7":               {func(s Side) []byte { return frame(s, fin|7, "")[:2] }, 1002, "opcode"},
	"opcode 11":              {func(s Side) []byte { return frame(s, fin|11, "")[:2] }, 1002, "opcode"},
	"opcode 15":              {func(s Side) []byte { return frame(s, fin|15, "")[:2] }, 1002, "opcode"},
	"fragmented ping":        {func(s Side) []byte { return frame(s, 9, "")[:2] }, 1002, "fragmented control"},
	"ping of 126 bytes":      {func(s Side) []byte { return frameHead(s, fin|9, 126, "")[:2] }, 1002, "over 125"},
	"close of 70000 bytes":   {func(s Side) []byte { return frameHead(s, fin|8, 70000, "")[:2] }, 1002, "over 125"},
	"continuation first":     {func(s Side) []byte { return frame(s, fin|0, "")[:2] }, 1002, "continuation without"},
	"continuation after a message": {func(s Side) []byte {
		return join(frame(s, 1, "a"), frame(s, fin|0, "b"), frame(s, 0, "")[:2])
	}, 1002, "continuation without"},
	"text inside a message": {func(s Side) []byte {
		return join(frame(s, 1, "a"), frame(s, fin|9, ""), frame(s, fin|1, "")[:2])
	}, 1002, "new message inside"},
	"binary inside an empty start": {func(s Side) []byte {
		return join(frame(s, 2, ""), frame(s, 2, "")[:2])
	}, 1002, "new message inside"},
	"125 in 16 bits":   {func(s Side) []byte { return frameForm(s, fin|1, 2, 125, "")[:4] }, 1002, "shortest"},
	"0 in 64 bits":     {func(s Side) []byte { return frameForm(s, fin|1, 8, 0, "")[:10] }, 1002, "shortest"},
	"65535 in 64 bits": {func(s Side) []byte { return frameForm(s, fin|1, 8, 65535, "")[:10] }, 1002, "shortest"},
	"length of 2^63":   {func(s Side) []byte { return frameForm(s, fin|2, 8, 1<<63, "")[:10] }, 1002, "63 bits"},
	"length of 2^64-1": {func(s Side) []byte { return frameForm(s, fin|2, 8, 1<<64-1, "")[:10] }, 1002, "63 bits"},
	"length of 2^63-1": {func(s Side) []byte { return frameForm(s, fin|2, 8, 1<<63-1, "")[:10] }, 1009, "limit"},
	"one over the limit": {func(s Side) []byte {
		return frameHead(s, fin|1, testLimit+1, "")[:10]
	}, 1009, "limit"},
	"one over the limit in the third fragment": {func(s Side) []byte {
		half := strings.Repeat("f", testLimit/2)
		return join(frame(s, 2, half), frame(s, 0, half), frame(s, fin|0, "x")[:2])
	}, 1009, "limit"},
	"fragments that overflow 63 bits": {func(s Side) []byte {
		return join(frame(s, 2, "abc"), frameForm(s, fin|0, 8, 1<<63-1, "")[:10])
	}, 1009, "limit"},
	"lone continuation byte":     {func(s Side) []byte { return frame(s, fin|1, "abc\x80") }, 1007, "text"},
	"overlong":                   {func(s Side) []byte { return frameHead(s, fin|1, 10, "\xc0") }, 1007, "text"},
	"overlong of three bytes":    {func(s Side) []byte { return frameHead(s, fin|1, 10, "\xe0\x80") }, 1007, "text"},
	"surrogate":                  {func(s Side) []byte { return frameHead(s, fin|1, 10, "a\xed\xa0") }, 1007, "text"},
	"over U+10FFFF":              {func(s Side) []byte { return frameHead(s, fin|1, 10, "\xf4\x90") }, 1007, "text"},
	"byte that UTF-8 never uses": {func(s Side) []byte { return frameHead(s, 1, 200, "ok\xff") }, 1007, "text"},
	"message that ends inside a character": {func(s Side) []byte {
		return frame(s, fin|1, "a\xe4\xb8")
	}, 1007, "text"},
	"empty last frame inside a character": {func(s Side) []byte {
		return join(frame(s, 1, "\xe4\xb8"), frame(s, fin|0, ""))
	}, 1007, "text"},
	"character broken by the next fragment": {func(s Side) []byte {
		return join(frame(s, 1, "\xf0\x9d"), frame(s, fin|9, "x"), frameHead(s, 0, 9, "\x84A"))
	}, 1007, "text"},
	"close of one byte":      {func(s Side) []byte { return frame(s, fin|8, "\x03")[:2] }, 1002, "one byte"},
	"close reason not UTF-8": {func(s Side) []byte { return frame(s, fin|8, closeText(1000, "a\xff")) }, 1007, "reason"},
	"close reason not UTF-8, newer code": {func(s Side) []byte {
		return frame(s, fin|8, closeText(1012, "\xe4\xb8"))
	}, 1007, "reason"},
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range invalid {
		t.Run(name, func(t *testing.T) {
			bothSides(t, func(t *testing.T, side Side) {
				in := c.in(side)
				for name, split := range map[string]func() int{"at once": allAtOnce, "byte by byte": byteByByte} {
					got := drive(t, side, testLimit, in, split)
					if got.code != c.code || got.failedAt != len(in) {
						t.Errorf("%s: failed with %d at byte %d, want %d at %d", name, got.code, got.failedAt, c.code, len(in))
					}
				}
				if text := failureText(side, in); !strings.Contains(text, c.text) || !strings.HasPrefix(text, "websocket: ") {
					t.Errorf("error %q, want it to speak of %q", text, c.text)
				}
			})
		})
	}
}

// failureText returns the error's text that in ends with.
func failureText(side Side, in []byte) string {
	r := NewReader(side, testLimit)
	for len(in) > 0 {
		_, n, err := r.Next(in)
		if err != nil {
			return err.Error()
		}
		in = in[n:]
	}
	return ""
}

func TestCloseCodes(t *testing.T) {
	for code := range 1 << 16 {
		r := NewReader(Client, 0)
		ev, _, err := r.Next(frame(Client, fin|8, closeText(ws.StatusCode(code), "why")))
		if codeOnWire(code) {
			if err != nil || ev.Code != ws.StatusCode(code) || string(ev.Reason) != "why" {
				t.Errorf("code %d: got %d %q, %v", code, ev.Code, ev.Reason, err)
			}
		} else if err != error(&failures[failCloseCode]) {
			t.Errorf("code %d: got %v, %v", code, ev.Kind, err)
		}
	}
}

// TestEveryByteStops checks that no byte of a stream loses or invents events,
// by cutting it in two at each place.
func TestEveryByteStops(t *testing.T) {
	bothSides(t, func(t *testing.T, side Side) {
		in := join(
			frame(side, 1, "Hell\xc3"), frame(side, fin|9, "are you there"), frame(side, 0, "\xb6 世"), frame(side, fin|0, "界"),
			frame(side, fin|2, strings.Repeat("\x00\xff", 150)), frame(side, fin|10, ""), frame(side, fin|1, ""),
			frame(side, fin|8, closeText(1000, "bye")),
		)
		want := drive(t, side, testLimit, in, allAtOnce)
		if len(want.items) != 6 || want.code != 0 {
			t.Fatalf("the whole input gives %v", want)
		}
		for cut := 1; cut < len(in); cut++ {
			first := true
			got := drive(t, side, testLimit, in, func() int {
				if first {
					first = false
					return cut
				}
				return len(in)
			})
			if !got.equal(want) {
				t.Fatalf("cut at %d: got %v, want %v", cut, got, want)
			}
		}
	})
}

// Left counts the bytes that a frame still lacks, and is 0 between two frames.
func TestLeft(t *testing.T) {
	r := NewReader(Server, testLimit)
	in := join(frame(Server, 1, strings.Repeat("a", 300)), frame(Server, fin|0, "bc"))
	head := len(in) - 300 - len(frame(Server, fin|0, "bc"))
	for _, step := range []struct {
		n    int
		left int64
	}{{0, 0}, {head - 1, 0}, {1, 300}, {100, 200}, {200, 0}, {len(in) - head - 301, 1}, {1, 0}} {
		for p := in[:step.n]; len(p) > 0; {
			_, n, err := r.Next(p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		in = in[step.n:]
		if got := r.Left(); got != step.left {
			t.Errorf("%d are left after %d bytes, want %d", got, step.n, step.left)
		}
	}
}
