package wsframe

import "unicode/utf8"

// text checks that a message is UTF-8 while it comes in. It keeps the bytes of
// a character that was split, and refuses with the first byte after which no
// continuation could make the text valid.
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

// wholeChars returns the length of p without a character that p ends in the
// middle of.
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
