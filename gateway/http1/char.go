package http1

import (
	"bytes"
	"encoding/binary"
)

// Classes of bytes, as bits in classes.
const (
	isToken  = 1 << iota // RFC 9110 5.6.2: tchar
	isValue              // RFC 9110 5.5: what a field value may hold, with SP and HTAB
	isTarget             // visible ASCII without '#'
	isHost               // RFC 3986 3.2.2: reg-name without percent-encoding
	isHex
)

const (
	digits     = "0123456789"
	letters    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hexLetters = "abcdefABCDEF"
)

// classes is a single table of 256 bytes, so that the few cache lines a head
// touches stay warm between connections.
var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	mark := func(bit uint8, set string) {
		for i := range len(set) {
			t[set[i]] |= bit
		}
	}
	mark(isToken, digits+letters+"!#$%&'*+-.^_`|~")
	mark(isHost, digits+letters+"-._~!$&'()*+,;=")
	mark(isHex, digits+hexLetters)
	for c := range 256 {
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= isValue
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= isTarget
		}
	}
	return t
}

// all reports whether every byte of p is of the class.
func all(p []byte, class uint8) bool {
	for _, c := range p {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// IsTokenList reports whether p is a list of tokens (RFC 9110 5.6.1), such as
// names of headers or of subprotocols.
func IsTokenList(p []byte) bool {
	for element := range bytes.SplitSeq(p, comma) {
		if !all(trimSpace(element), isToken) {
			return false
		}
	}
	return true
}

var comma = []byte(",")

// validValue reports whether p may stand in a field value. It looks at eight
// bytes at once, which takes a browser's handshake from 404 to 344 ns
// (BenchmarkHandshake); a word with a suspicious byte, HTAB among them, goes
// through the table.
func validValue(p []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(p) >= 8 {
		x := binary.LittleEndian.Uint64(p)
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&high != 0 && !all(p[:8], isValue) {
			return false
		}
		p = p[8:]
	}
	return all(p, isValue)
}

// equalFold reports whether b equals s in ASCII without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c != s[i] && lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// trimSpace cuts SP and HTAB off both ends.
func trimSpace(p []byte) []byte {
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		p = p[1:]
	}
	for len(p) > 0 && (p[len(p)-1] == ' ' || p[len(p)-1] == '\t') {
		p = p[:len(p)-1]
	}
	return p
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0x0f + 9
}

// escaped reports whether p starts with a percent sign and two hexadecimal
// digits.
func escaped(p []byte) bool {
	return len(p) >= 3 && p[0] == '%' && classes[p[1]]&isHex != 0 && classes[p[2]]&isHex != 0
}
