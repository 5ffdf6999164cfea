package fanout

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// payloadKind says how a payload can be shown in text.
type payloadKind uint8

const (
	payloadUnknown payloadKind = iota
	payloadJSON                // is itself a JSON value
	payloadText                // is other UTF-8
	payloadBytes               // is neither
)

// payloadKindOf looks at UTF-8 first: json.Valid accepts any bytes inside a
// string, but a text frame or an event stream may not hold them.
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
		object := appendObject(nil, m)
		return appendMessageFrame(dst, ws.OpText, object)
	case FormRaw:
		if m.kind == payloadBytes {
			return appendMessageFrame(dst, ws.OpBinary, m.Payload)
		}
		return appendMessageFrame(dst, ws.OpText, m.Payload)
	case FormEvent:
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
		dst = appendEventHead(dst, m, "message")
		dst = appendDataLines(dst, m.Payload)
		return append(dst, '\n')
	case FormData:
		return appendData(dst, m)
	default:
		return appendObject(dst, m)
	}
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
	dst = slices.Grow(dst, 64+len(m.Channel)+len(m.ID.Node)+len(m.User)+36+len(m.Payload)*4/3)
	dst = append(dst, `{"type":"message","channel":"`...)
	dst = append(dst, m.Channel...) // no byte of a valid name needs escaping
	dst = append(dst, `","id":"`...)
	dst = append(m.ID.AppendTo(dst), '"')
	if m.User != "" {
		dst = append(dst, `,"user":`...)
		dst = appendJSONText(dst, []byte(m.User))
	}
	switch m.kind {
	case payloadJSON:
		dst = append(dst, `,"data":`...)
		dst = append(dst, m.Payload...)
	case payloadText:
		dst = append(dst, `,"data":`...)
		dst = appendJSONText(dst, m.Payload)
	default:
		dst = append(dst, `,"data_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, m.Payload)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendJSONText appends UTF-8 text as a JSON string. Unlike json.Marshal it
// leaves < > and & alone.
func appendJSONText(dst, text []byte) []byte {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	// A string can't fail to encode, and a buffer takes every write.
	_ = enc.Encode(string(text))
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
}

// appendMessageFrame appends a whole unmasked frame.
func appendMessageFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))}
	buf := bytes.NewBuffer(slices.Grow(dst, ws.HeaderSize(h)+len(payload)))
	// The header is well-formed, and a buffer takes every write.
	_ = ws.WriteHeader(buf, h)
	return append(buf.Bytes(), payload...)
}

// appendEventHead appends what stands before an event's data.
func appendEventHead(dst []byte, m *Message, event string) []byte {
	dst = slices.Grow(dst, 128+len(m.Channel)+len(m.Payload)*4/3)
	dst = append(dst, "id: "...)
	dst = m.ID.AppendTo(dst)
	dst = append(dst, "\nevent: "...)
	dst = append(dst, event...)
	return append(dst, '\n')
}

// blankLineBreaks turns raw line breaks into spaces, because they would end
// the data line of an event. In a JSON value they stand between tokens only,
// where a space means the same.
func blankLineBreaks(object []byte) {
	for i, c := range object {
		if c == '\n' || c == '\r' {
			object[i] = ' '
		}
	}
}

// appendDataLines appends one data line for each line of text. The client
// joins them by newlines; CR and CRLF count as line ends too and arrive as
// newlines.
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
