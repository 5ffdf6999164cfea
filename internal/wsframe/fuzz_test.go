package wsframe

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// FuzzReader compares the Reader, fed byte by byte, at once and in any split,
// with the reference.
func FuzzReader(f *testing.F) {
	for side, client := range map[Side]bool{Server: false, Client: true} {
		for _, c := range valid {
			if in := c.in(side); len(in) < 1000 {
				f.Add(in, []byte{5, 1}, uint16(1000), client)
			}
		}
		for _, c := range invalid {
			if in := c.in(side); len(in) < 1000 {
				f.Add(in, []byte{2, 9}, uint16(1000), client)
			}
		}
		f.Add(join(frame(side, 1, "abc"), frame(side, 0, "defg"), frame(side, fin|0, "h")), []byte{}, uint16(7), client)
		f.Add(frame(side, fin|2, strings.Repeat("z", 300)), []byte{255}, uint16(300), client)
		f.Add(frame(side, fin|1, ""), []byte{1}, uint16(0), client)
	}
	f.Fuzz(func(t *testing.T, in, sizes []byte, limit uint16, client bool) {
		if len(in) > 8<<10 {
			return
		}
		side := Server
		if client {
			side = Client
		}
		checkAgainstReference(t, side, int64(limit), in, sizes)
	})
}

// TestReaderProperty does the same with streams that are mostly right, so that
// it gets deep into them.
func TestReaderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := Side(rapid.IntRange(0, 1).Draw(t, "side"))
		var in []byte
		for range rapid.IntRange(1, 6).Draw(t, "messages") {
			in = append(in, drawMessage(t, side)...)
		}
		if rapid.IntRange(0, 3).Draw(t, "damage") == 0 {
			i := rapid.IntRange(0, len(in)-1).Draw(t, "at")
			in[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		sizes := rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "sizes")
		limit := rapid.SampledFrom([]int64{20, 200, 1000}).Draw(t, "limit")
		checkAgainstReference(t, side, limit, in, sizes)
	})
}

// drawMessage draws a message in fragments with control frames between.
func drawMessage(t *rapid.T, side Side) []byte {
	op := rapid.SampledFrom([]byte{1, 1, 1, 2}).Draw(t, "op")
	payload := drawText(t)
	var out []byte
	for first := true; ; first = false {
		n := rapid.IntRange(0, len(payload)).Draw(t, "fragment")
		last := rapid.Bool().Draw(t, "last")
		if last {
			n = len(payload)
		}
		b0 := byte(0)
		if first {
			b0 = op
		}
		if last {
			b0 |= fin
		}
		out = append(out, frame(side, b0, payload[:n])...)
		payload = payload[n:]
		if last {
			return out
		}
		if rapid.Bool().Draw(t, "control between") {
			out = append(out, frame(side, fin|rapid.SampledFrom([]byte{9, 10}).Draw(t, "control"), drawText(t)[:3])...)
		}
	}
}

func drawText(t *rapid.T) string {
	s := strings.Repeat(rapid.String().Draw(t, "text")+"ä世𝄞", rapid.SampledFrom([]int{1, 1, 1, 12}).Draw(t, "times"))
	return s
}

// TestTextProperty checks the incremental UTF-8 check against the standard
// library for any bytes in any split.
func TestTextProperty(t *testing.T) {
	alphabet := []byte{'a', 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 12).Draw(t, "in")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(in)), 0, 4).Draw(t, "cuts")
		cuts = append(cuts, len(in))
		slices.Sort(cuts)
		var x text
		good := true
		from := 0
		for _, to := range cuts {
			good = good && x.take(in[from:to])
			from = to
		}
		if good = good && x.whole(); good != utf8.Valid(in) {
			t.Fatalf("%x cut at %v: %v, want %v", in, cuts, good, utf8.Valid(in))
		}
	})
}
