package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
)

// Reason says why a client did not come about or was lost. The word is the key
// in the JSON and the line in the table.
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
	MaxReasonWords     = 160
	maxReasonVarieties = 100
	maxWordings        = 5 // of one reason
)

// SocketReason finds the word for what the kernel said.
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

func StatusReason(status int) Reason { return Reason(fmt.Sprintf(reasonStatusFormat, status)) }

func ClosedReason(code int) Reason { return Reason(fmt.Sprintf(reasonClosedFormat, code)) }

// AnswerReason finds the word for an HTTP answer, with what its body says if that
// is an error in JSON or a line of text.
func AnswerReason(status int, contentType string, body []byte) Reason {
	switch kind := strings.ToLower(contentType); {
	case strings.HasPrefix(kind, "application/json"):
		return StatusReason(status).With(JsonMessage(body))
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
	if len(words) > MaxReasonWords {
		words = words[:MaxReasonWords]
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

// Printable replaces what doesn't belong on a line of a report.
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

// The tallies of a run.
const (
	Failures   = iota // clients that never were ready
	Retries           // failed attempts to come back
	Losses            // of ready clients
	Errors            // error messages to ready clients
	Deferrals         // answers that told a client to come later
	Cuts              // connections that ended while a proxy was between
	SlowLosses        // slow clients that ended
	tallyKinds
)

type Tallies [tallyKinds]Tally

func NewTallies() (t Tallies) {
	for i := range t {
		t[i] = make(Tally)
	}
	return t
}

func (t *Tallies) Merge(from *Tallies) {
	for i := range t {
		t[i].merge(from[i])
	}
}

// Tally counts by reason. The server's texts can't make it grow without end.
type Tally map[Reason]uint64

func (t Tally) Add(r Reason, n uint64) {
	if _, known := t[r]; !known && r.Words() && t.wordings(r.bare()) >= maxWordings {
		r = r.bare()
	}
	if _, known := t[r]; !known && len(t) >= maxReasonVarieties {
		r = "other"
	}
	t[r] += n
}

// wordings counts the ways in which the server has put a reason.
func (t Tally) wordings(bare Reason) (n int) {
	for r := range t {
		if r != bare && r.bare() == bare {
			n++
		}
	}
	return n
}

func (t Tally) merge(from Tally) {
	for r, n := range from {
		t.Add(r, n)
	}
}

// Hints says what to change for each reason that there is a word for, the most
// frequent first.
func Hints(foreign bool, of ...Tally) (all []string) {
	for _, why := range ByCount(Merged(of...)) {
		switch h := why.hint(foreign); {
		case h != "":
			all = append(all, fmt.Sprintf("%s: %s", why, h))
		case why.Words():
			all = append(all, string(why)) // which says it all
		}
	}
	return all
}

func Merged(of ...Tally) Tally {
	all := make(Tally)
	for _, t := range of {
		all.merge(t)
	}
	return all
}

// Closes leaves the reasons that a gateway gave: why a client's connection
// broke says something else once it was ready.
func (t Tally) Closes() Tally {
	all := make(Tally)
	for why, n := range t {
		if strings.HasPrefix(string(why), "closed ") {
			all[why] = n
		}
	}
	return all
}

// hint says what to change when clients fail for a reason; empty when the
// reason says it all.
func (r Reason) hint(foreign bool) string {
	if foreign {
		if h, ok := r.foreignHint(); ok {
			return h
		}
	}
	switch text := string(r.bare()); {
	case strings.HasPrefix(text, "HTTP 3") && strings.Contains(text, ReasonTo):
		return "the target sends clients elsewhere, where a WebSocket can't follow: is that the address for --url?"
	case strings.HasPrefix(text, "HTTP 502 by ") || strings.HasPrefix(text, "HTTP 503 by "):
		return "the proxy answered, because it reaches no gateway: is one running where its configuration says?"
	case strings.HasPrefix(text, "HTTP 504 by "):
		return "the proxy answered, because the gateway took longer than its read timeout: that must be longer than a poll waits (25 s)"
	case strings.HasPrefix(text, "HTTP ") && strings.Contains(text, ReasonBy):
		return "the proxy answered and not the gateway: does its configuration pass this path on?"
	}
	switch r.bare() {
	case ReasonNotTLS:
		return "the port speaks no TLS: ws:// or http://?"
	case ReasonIssuer:
		return "--ca FILE names who signed it; --insecure takes any certificate"
	case ReasonName:
		return "--url must have a name that the certificate is for; --insecure takes any certificate"
	case ReasonRefused:
		return "nothing listens there: is the gateway running, is --url right?"
	case ReasonUnreachable:
		return "no route to the target: is --url right?"
	case ReasonNoPort:
		return "more source addresses: --src 127.0.0.2-127.0.0.9"
	case ReasonNoDescriptor:
		return "raise the descriptor limit (ulimit -n) or lower -n"
	case ReasonSource:
		return "an address of --src can't be bound on this host or not reach the target"
	case ReasonTimeout, ReasonTimedOut:
		return "the server does not keep up: lower -c or --connect-rate, or raise --timeout; also look for TLS on that port (wss://)"
	case ReasonSubscribe:
		return "the gateway took the connection but did not confirm the channels: is its Redis reachable?"
	case ReasonWelcome, ReasonForeign:
		return "this server is no gateway, or not one of pushgate: --foreign has it measured all the same, --hello and --publish-url or --publish-cmd say how"
	case ReasonNotHTTP:
		return "the target does not speak plain HTTP/1.1: is --url right, is there TLS on that port (wss://)?"
	case ReasonHTTP10:
		return "the target is a web server of an old kind and no gateway, which speaks HTTP/1.1: is --url right?"
	case ReasonUpgrade, ReasonAccept, ReasonContentType, ReasonCursor, StatusReason(404), StatusReason(400), StatusReason(405):
		if r.Words() && !strings.HasSuffix(string(r), `"`) {
			return "" // a gateway's own
		}
		return "the target does not look like a gateway: is --url right? Another server is measured with --foreign"
	case ReasonEarly, ReasonReset:
		return "that port may speak TLS, or it isn't a gateway's: is --url right, ws:// or wss://?"
	case ReasonSubprotocol:
		return "browsers end such a connection: --subprotocol must name one that the server chooses"
	case StatusReason(401), ClosedReason(4001):
		return "the gateway wants a token that it can check: --jwt-key must name its secret or private key, and --jwt-issuer and --jwt-audience what it expects"
	case StatusReason(403), ClosedReason(4003):
		return "the gateway refuses the channels: see --jwt-key and --channels"
	case StatusReason(503), StatusReason(429):
		return "the gateway turns clients away: see its limits.connections and its log"
	}
	return ""
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

// foreignHint says what a reason means where the server is none of ours; false
// where it means the same.
func (r Reason) foreignHint() (hint string, ok bool) {
	switch r.bare() {
	case ReasonRefused:
		return "nothing listens there: is the server running, is --url right?", true
	case ReasonUpgrade, ReasonAccept, ReasonContentType, StatusReason(200), StatusReason(400), StatusReason(404), StatusReason(405), StatusReason(426):
		return "the server takes no such clients on that path: are --url and --transport right?", true
	case ReasonEarly, ReasonReset:
		return "that port may speak TLS (wss://), or not where --url says so, or the server drops such clients: are --url and --hello right?", true
	case StatusReason(401), StatusReason(403), ClosedReason(4001), ClosedReason(4003):
		return "the server wants to know its clients: --header, --subprotocol or --hello tell it", true
	case StatusReason(429), StatusReason(503):
		return "the server turns clients away: see its limits and its log", true
	}
	return "", false
}

// JsonMessage returns the text of a gateway's error, and of others' that are
// written like it; empty where there is none.
func JsonMessage(body []byte) string {
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

// ByCount lists reasons, the most frequent first.
func ByCount(t Tally) []Reason {
	all := make([]Reason, 0, len(t))
	for r := range t {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Reason) int {
		if t[a] != t[b] {
			return int(int64(t[b]) - int64(t[a]))
		}
		if a < b {
			return -1
		}
		return 1
	})
	return all
}
