package jsontext

import (
	"bytes"
	"iter"
)

// Fields goes through the keys and values of a JSON object that is known to be
// valid, as they are spelled. Nothing of any other value.
func Fields(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		rest := bytes.TrimSpace(object)
		if len(rest) == 0 || rest[0] != '{' {
			return
		}
		for rest = rest[1:]; ; rest = rest[1:] {
			rest = bytes.TrimLeft(rest, " \t\r\n")
			if len(rest) == 0 || rest[0] != '"' {
				return
			}
			n := endOf(rest)
			key := rest[1 : n-1]
			_, rest, _ = bytes.Cut(rest[n:], []byte(":"))
			rest = bytes.TrimLeft(rest, " \t\r\n")
			n = endOf(rest)
			value := bytes.TrimRight(rest[:n], " \t\r\n")
			rest = bytes.TrimLeft(rest[n:], " \t\r\n")
			if !yield(key, value) || len(rest) == 0 || rest[0] != ',' {
				return
			}
		}
	}
}

// endOf returns where the value that text begins with ends: behind a string, at
// the comma or bracket after anything else.
func endOf(text []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case b == '{' || b == '[':
			depth++
		case (b == '}' || b == ']') && depth > 0:
			depth--
		case depth == 0 && (b == ',' || b == '}'):
			return i
		}
	}
	return len(text)
}
