package http1

import (
	"bytes"
	"testing"

	"github.com/gobwas/httphead"
)

// TestClasses compares the token class with httphead's and the value class
// with the words of RFC 9110 5.5.
func TestClasses(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		if got, want := classes[c]&isToken != 0, c < 0x80 && httphead.OctetTypes[c].IsToken(); got != want {
			t.Errorf("%q: token %v, httphead says %v", c, got, want)
		}
		want := c == '\t' || c == ' ' || c > ' ' && c < 0x7f || c >= 0x80
		if got := classes[c]&isValue != 0; got != want {
			t.Errorf("%q: value %v, want %v", c, got, want)
		}
	}
}

// TestValidValue puts every byte at every place of values around the length
// of a word, between neighbours that could carry over in the arithmetic.
func TestValidValue(t *testing.T) {
	for _, fill := range []byte{'a', ' ', '\t', 0x7e, 0x80, 0xff} {
		for size := range 20 {
			for at := range size {
				p := bytes.Repeat([]byte{fill}, size)
				for c := range 256 {
					p[at] = byte(c)
					if got, want := validValue(p), all(p, isValue); got != want {
						t.Fatalf("%q: %v, want %v", p, got, want)
					}
				}
			}
		}
	}
}

func TestEqualFold(t *testing.T) {
	for in, want := range map[string]bool{
		"host": true, "HOST": true, "hOsT": true, "hos": false, "hosts": false, "h\x4fst": true, "ho\x13t": false, "ho\u017ft": false, "": false,
	} {
		if got := equalFold([]byte(in), "Host"); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
	if equalFold([]byte("@`[{"), "`@{[") {
		t.Error("bytes beside the letters are folded")
	}
}
