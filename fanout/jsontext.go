package fanout

// UTF-8 text in a JSON string is escaped as encoding/json does it, but for < > and &.

// controls are the control characters, escaped, in six bytes each.
const controls = `\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\u0009\u000a\u000b\u000c\u000d\u000e\u000f` +
	`\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f`

// appendJSONText appends UTF-8 text as a JSON string.
func appendJSONText[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	done := 0
	for i := range len(text) {
		if isPlain(text[i]) {
			continue
		}
		if escaped, n := escape(text, i); n > 0 {
			dst = append(append(dst, text[done:i]...), escaped...)
			done = i + n
		}
	}
	return append(append(dst, text[done:]...), '"')
}

// jsonTextBytes returns the length of what appendJSONText appends.
func jsonTextBytes[T string | []byte](text T) int {
	size := len(`""`) + len(text)
	for i := range len(text) {
		if !isPlain(text[i]) {
			escaped, n := escape(text, i)
			size += len(escaped) - n
		}
	}
	return size
}

// isPlain reports whether a byte is never escaped.
func isPlain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c != lineSeparator[0] }

// lineSeparator is U+2028, which ends a line in JavaScript, as does U+2029 behind it.
const lineSeparator = "\u2028"

// escape returns what stands for the n bytes of text at i; n is 0 where these stand
// for themselves.
func escape[T string | []byte](text T, i int) (escaped string, n int) {
	switch c := text[i]; c {
	case '"':
		return `\"`, 1
	case '\\':
		return `\\`, 1
	case '\b':
		return `\b`, 1
	case '\f':
		return `\f`, 1
	case '\n':
		return `\n`, 1
	case '\r':
		return `\r`, 1
	case '\t':
		return `\t`, 1
	case lineSeparator[0]:
		switch string(text[i:min(i+len(lineSeparator), len(text))]) {
		case lineSeparator:
			return `\u2028`, len(lineSeparator)
		case "\u2029":
			return `\u2029`, len(lineSeparator)
		}
		return "", 0
	default:
		if c < ' ' {
			return controls[6*int(c):][:6], 1
		}
		return "", 0
	}
}
