package chunked

import (
	"bytes"
	"io"
	"net/http/httputil"
	"testing"

	"pgregory.net/rapid"
)

// decode feeds the pieces of a stream to a decoder.
func decode(pieces ...[]byte) (body []byte, c Decoder, rest int, ok bool) {
	for _, p := range pieces {
		for len(p) > 0 {
			piece, n, ok := c.Next(p)
			if !ok {
				return body, c, len(p), false
			}
			body = append(body, piece...)
			if n == 0 {
				return body, c, len(p), true
			}
			p = p[n:]
		}
	}
	return body, c, 0, true
}

// The output of net/http's writer is read back however it is cut.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire, want bytes.Buffer
		w := httputil.NewChunkedWriter(&wire)
		for _, part := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 300), 0, 5).Draw(t, "parts") {
			w.Write(part)
			want.Write(part)
		}
		w.Close()
		wire.WriteString("X-Trailer: a\r\n\r\n")
		var pieces [][]byte
		for b := wire.Bytes(); len(b) > 0; {
			k := rapid.IntRange(1, min(len(b), 40)).Draw(t, "cut")
			pieces = append(pieces, b[:k])
			b = b[k:]
		}
		got, c, rest, ok := decode(pieces...)
		if !ok || !c.Done() || rest != 0 || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("ok %v, done %v, rest %d, %d bytes of %d", ok, c.Done(), rest, len(got), want.Len())
		}
	})
}

func TestRefuse(t *testing.T) {
	for name, text := range map[string]string{
		"no size":       "\r\nabc",
		"not hex":       "xyz\r\n",
		"no line end":   "3\r\nabcdef",
		"size too long": "fffffffffffffffff\r\n",
		"event stream":  "event: message\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, _, ok := decode([]byte(text)); ok {
				t.Error("accepted")
			}
		})
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), 4)
	f.Add([]byte("A;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\nnext"), 1)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		whole, c1, rest1, ok1 := decode(p)
		cut = min(max(cut, 0), len(p))
		split, c2, _, ok2 := decode(p[:cut], p[cut:])
		if ok1 != ok2 || ok1 && (!bytes.Equal(whole, split) || c1.Done() != c2.Done()) {
			t.Fatalf("%q cut at %d: %v %q, whole %v %q", p, cut, ok2, split, ok1, whole)
		}
		if ok1 && c1.Done() {
			want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(p[:len(p)-rest1])))
			if err == nil && !bytes.Equal(want, whole) {
				t.Fatalf("%q: %q, net/http reads %q", p, whole, want)
			}
		}
	})
}
