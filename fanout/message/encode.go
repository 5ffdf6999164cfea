package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// payloadKind says how a payload can be shown in text.
type payloadKind uint8

const (
	payloadUnknown payloadKind = iota
	payloadJSON                // is itself a JSON value
	payloadText                // is other UTF-8
	payloadBytes               // is neither
)

// payloadKindOf looks at UTF-8 first: json.Valid accepts any bytes inside a string, but a
// text frame or an event stream may not hold them.
func payloadKindOf(p []byte) payloadKind {
	switch {
	case !utf8.Valid(p):
		return payloadBytes
	case json.Valid(p):
		return payloadJSON
	default:
		return payloadText
	}
}

// appendForm appends m in form f; its kind is known.
func appendForm(dst []byte, f Form, m *Message) []byte {
	switch f {
	case FormText:
		return textFrame(m)
	case FormRaw:
		op := ws.OpText
		if m.kind == payloadBytes {
			op = ws.OpBinary
		}
		return wsframe.AppendFrame(slices.Grow(dst, maxFrameHead+len(m.Payload)), op, m.Payload)
	case FormEvent:
		dst = slices.Grow(dst, eventBytes+objectBytes(m))
		dst = appendEventHead(dst, m, "message")
		dst = append(dst, "data: "...)
		start := len(dst)
		dst = appendObject(dst, m)
		blankLineBreaks(dst[start:])
		return append(dst, "\n\n"...)
	case FormRawEvent:
		if m.kind == payloadBytes {
			dst = appendEventHead(dst, m, "message_base64")
			dst = append(dst, "data: "...)
			dst = base64.StdEncoding.AppendEncode(dst, m.Payload)
			return append(dst, "\n\n"...)
		}
		lines := bytes.Count(m.Payload, []byte{'\n'}) + bytes.Count(m.Payload, []byte{'\r'})
		dst = slices.Grow(dst, eventBytes+len("data: ")*lines+len(m.Payload))
		dst = appendEventHead(dst, m, "message")
		dst = appendDataLines(dst, m.Payload)
		return append(dst, '\n')
	case FormData:
		return appendData(slices.Grow(dst, dataBytes(m)), m)
	default:
		return appendObject(slices.Grow(dst, objectBytes(m)), m)
	}
}

// A large message in one form is all but one allocation of its size. To grow on the way,
// or to encode it once more for a frame, would be twice as much for the collector.

const (
	// maxFrameHead is the longest header of an unmasked frame (RFC 6455, 5.2).
	maxFrameHead = 10
	// eventBytes is the rest of an event, with its data in one line.
	eventBytes = 80
)

// objectBytes returns a little more than the JSON object that stands for m takes.
func objectBytes(m *Message) int {
	return 96 + len(m.Channel) + len(m.ID.Node) + jsonTextBytes(m.User) + dataBytes(m)
}

// dataBytes returns the length of the payload as a JSON value.
func dataBytes(m *Message) int {
	switch m.kind {
	case payloadJSON:
		return len(m.Payload)
	case payloadText:
		return jsonTextBytes(m.Payload)
	}
	return len(`{"data_base64":""}`) + base64.StdEncoding.EncodedLen(len(m.Payload))
}

// textFrame returns the text frame with the object that stands for m. The header is written
// last, as it has the length, into the room before the object.
func textFrame(m *Message) []byte {
	b := appendObject(make([]byte, maxFrameHead, maxFrameHead+objectBytes(m)), m)
	var room [maxFrameHead]byte
	head := wsframe.AppendHeader(room[:0], ws.OpText, true, len(b)-maxFrameHead)
	b = b[maxFrameHead-len(head):]
	copy(b, head)
	return b
}

// appendData appends the payload as a JSON value.
func appendData(dst []byte, m *Message) []byte {
	switch m.kind {
	case payloadJSON:
		return append(dst, m.Payload...)
	case payloadText:
		return appendJSONText(dst, m.Payload)
	}
	dst = append(dst, `{"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, m.Payload)
	return append(dst, `"}`...)
}

// appendObject appends the JSON object that stands for m on every transport.
func appendObject(dst []byte, m *Message) []byte {
	dst = append(dst, `{"type":"message","channel":"`...)
	dst = append(dst, m.Channel...) // no byte of a valid name needs escaping
	dst = append(dst, `","id":"`...)
	dst = append(m.ID.AppendTo(dst), '"')
	if m.User != "" {
		dst = append(dst, `,"user":`...)
		dst = appendJSONText(dst, m.User)
	}
	if m.kind == payloadBytes {
		dst = append(dst, `,"data_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, m.Payload)
		return append(dst, `"}`...)
	}
	dst = append(dst, `,"data":`...)
	return append(appendData(dst, m), '}')
}

// appendEventHead appends the lines before an event's data.
func appendEventHead(dst []byte, m *Message, event string) []byte {
	dst = append(dst, "id: "...)
	dst = m.ID.AppendTo(dst)
	dst = append(dst, "\nevent: "...)
	dst = append(dst, event...)
	return append(dst, '\n')
}

// blankLineBreaks turns raw line breaks into spaces, because they would end the data line
// of an event. In a JSON value they stand between tokens only, where a space means the
// same.
func blankLineBreaks(object []byte) {
	for i, c := range object {
		if c == '\n' || c == '\r' {
			object[i] = ' '
		}
	}
}

// appendDataLines appends one data line for each line of text. The client joins them by
// newlines; CR and CRLF count as line ends too and arrive as newlines.
func appendDataLines(dst, text []byte) []byte {
	for {
		dst = append(dst, "data: "...)
		end := bytes.IndexAny(text, "\r\n")
		if end < 0 {
			dst = append(dst, text...)
			return append(dst, '\n')
		}
		dst = append(dst, text[:end]...)
		dst = append(dst, '\n')
		if bytes.HasPrefix(text[end:], []byte("\r\n")) {
			end++
		}
		text = text[end+1:]
	}
}

// UTF-8 text in a JSON string is escaped as encoding/json does it, but for < > and &.

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

// jsonTextBytes returns the length of appendJSONText's text.
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

// lineSeparator is U+2028, which ends a line in JavaScript, as does U+2029 behind it.
const lineSeparator = "\u2028"

// escapes holds the text that stands for an ASCII character in a JSON string, empty where
// that is the character itself.
var escapes = func() (table [utf8.RuneSelf]string) {
	for c := range ' ' {
		table[c] = fmt.Sprintf(`\u%04x`, c)
	}
	for c, text := range map[byte]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`} {
		table[c] = text
	}
	return table
}()

// isPlain reports whether a byte is never escaped.
func isPlain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c != lineSeparator[0] }

// escape returns the text that stands for the n bytes of text at i; n is 0 where these
// stand for themselves.
func escape[T string | []byte](text T, i int) (escaped string, n int) {
	if c := text[i]; c < utf8.RuneSelf {
		return escapes[c], min(len(escapes[c]), 1)
	}
	switch string(text[i:min(i+len(lineSeparator), len(text))]) {
	case lineSeparator:
		return `\u2028`, len(lineSeparator)
	case "\u2029":
		return `\u2029`, len(lineSeparator)
	}
	return "", 0
}
