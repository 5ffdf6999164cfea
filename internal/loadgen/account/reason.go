package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Reason says why a client failed or was lost. The word is the key in the JSON and the line in
// the table.
type Reason string

const (
	ReasonRefused      Reason = "connection refused"
	ReasonUnreachable  Reason = "unreachable"
	ReasonNoPort       Reason = "no free source port"
	ReasonNoDescriptor Reason = "no free descriptor"
	ReasonSource       Reason = "source address not usable"
	ReasonReset        Reason = "reset"
	ReasonTimedOut     Reason = "timed out in the network"
	ReasonTimeout      Reason = "handshake timeout"
	ReasonSubscribe    Reason = "subscribe timeout"
	ReasonWelcome      Reason = "no welcome"
	ReasonForeign      Reason = "messages are not a gateway's"
	ReasonCut          Reason = "cut without a close"
	ReasonEarly        Reason = "cut during the handshake"
	ReasonNotHTTP      Reason = "answer is not HTTP"
	ReasonHTTP10       Reason = "answer is HTTP/1.0"
	ReasonAccept       Reason = "wrong Sec-WebSocket-Accept"
	ReasonUpgrade      Reason = "answer is not an upgrade"
	ReasonSubprotocol  Reason = "no subprotocol of those offered"
	ReasonContentType  Reason = "answer is not an event stream"
	ReasonCursor       Reason = "answer without a cursor"
	ReasonBody         Reason = "answer's body malformed"
	ReasonBodySize     Reason = "answer's body too long"
	ReasonBye          Reason = "put off by a stream that ends at once"
	ReasonUnregistered Reason = "epoll refused the socket"
	ReasonUnfinished   Reason = "unfinished at the end"
)

// The varieties that carry a number or the server's own words.
const (
	reasonStatusFormat = "HTTP %d"
	reasonClosedFormat = "closed %d"
	ReasonProtocol     = "protocol: "
	ReasonErrorEvent   = "error: "
	ReasonBy           = " by " // whose answer it is, if not the gateway's
	ReasonTo           = " to " // where a redirect points

	reasonWords = ": " // before the server's own words

	MaxReasonText      = 60
	maxReasonWords     = 160
	maxReasonVarieties = 100
	maxWordings        = 5 // of one reason
)

// SocketReason finds the word for an error of the kernel.
func SocketReason(err error) Reason {
	for _, m := range [...]struct {
		errno  error
		reason Reason
	}{
		{syscall.ECONNREFUSED, ReasonRefused},
		{syscall.EADDRNOTAVAIL, ReasonNoPort},
		{syscall.EADDRINUSE, ReasonNoPort},
		{syscall.EMFILE, ReasonNoDescriptor},
		{syscall.ENFILE, ReasonNoDescriptor},
		{syscall.ENETUNREACH, ReasonUnreachable},
		{syscall.EHOSTUNREACH, ReasonUnreachable},
		{syscall.EINVAL, ReasonSource},
		{syscall.ECONNRESET, ReasonReset},
		{syscall.EPIPE, ReasonReset},
		{syscall.ETIMEDOUT, ReasonTimedOut},
		{io.EOF, ReasonCut},
	} {
		if errors.Is(err, m.errno) {
			return m.reason
		}
	}
	return Reason(err.Error())
}

// StatusReason is the answer to a handshake by its HTTP status.
func StatusReason(status int) Reason { return Reason(fmt.Sprintf(reasonStatusFormat, status)) }

// ClosedReason is the end of a WebSocket by its close code.
func ClosedReason(code int) Reason { return Reason(fmt.Sprintf(reasonClosedFormat, code)) }

// AnswerReason finds the word for an HTTP answer, with its body's words if that
// is an error in JSON or a line of text.
func AnswerReason(status int, contentType string, body []byte) Reason {
	switch kind := strings.ToLower(contentType); {
	case strings.HasPrefix(kind, "application/json"):
		return StatusReason(status).With(JSONMessage(body))
	case strings.HasPrefix(kind, "text/plain"):
		return StatusReason(status).With(quoted(body))
	}
	return StatusReason(status)
}

// With adds the server's own words.
func (r Reason) With(words string) Reason {
	if words == "" {
		return r
	}
	if len(words) > maxReasonWords {
		words = words[:maxReasonWords]
	}
	return r + reasonWords + Reason(Printable([]byte(words)))
}

// bare takes the server's own words off.
func (r Reason) bare() Reason {
	text, kind := string(r), ""
	switch {
	case strings.HasPrefix(text, ReasonErrorEvent):
		kind = ReasonErrorEvent
	case !strings.HasPrefix(text, "HTTP ") && !strings.HasPrefix(text, "closed "):
		return r
	}
	rest, _, _ := strings.Cut(text[len(kind):], reasonWords)
	return Reason(kind + rest)
}

// Words reports whether a reason has the server's own words.
func (r Reason) Words() bool { return r.bare() != r }

// TextReason makes a reason with text of the server's.
func TextReason(prefix string, text []byte) Reason {
	if len(text) > MaxReasonText {
		text = text[:MaxReasonText]
	}
	return Reason(fmt.Sprintf("%s%s", prefix, Printable(text)))
}

// Printable replaces characters that don't belong on a line of a report.
func Printable(text []byte) []byte {
	clean := make([]byte, len(text))
	for i, b := range text {
		if b < ' ' || b > '~' {
			b = '?'
		}
		clean[i] = b
	}
	return clean
}

const (
	ReasonTLS           = "TLS: "
	ReasonNotTLS Reason = ReasonTLS + "the answer is not TLS"
	ReasonIssuer Reason = ReasonTLS + "certificate of an unknown authority"
	ReasonName   Reason = ReasonTLS + "certificate for another name"
)

// FromProxy reports whether a proxy ends connections for the reason.
func (r Reason) FromProxy() bool {
	switch r {
	case ReasonCut, ReasonReset, ReasonRefused, ReasonTimedOut, ReasonTimeout:
		return true
	}
	return strings.HasPrefix(string(r), "HTTP ") && strings.Contains(string(r.bare()), ReasonBy)
}

// JSONMessage returns the text of a gateway's error, and of others' that are
// written like it; empty where there is none.
func JSONMessage(body []byte) string {
	var answer struct {
		Error   json.RawMessage
		Message string
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var detail struct{ Message string }
	var text string
	if json.Unmarshal(answer.Error, &detail) == nil && detail.Message != "" {
		return detail.Message
	}
	if json.Unmarshal(answer.Error, &text) == nil && answer.Message == "" {
		return text
	}
	return answer.Message
}

// quoted returns the first line of a text.
func quoted(text []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return `"` + string(bytes.TrimSpace(line)) + `"`
}
