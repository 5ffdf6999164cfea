package loadgen

import (
	"errors"
	"fmt"
	"io"
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
	ReasonCut          Reason = "cut without a close"
	ReasonEarly        Reason = "cut during the handshake"
	ReasonNotHTTP      Reason = "answer is not HTTP"
	ReasonHTTP10       Reason = "answer is HTTP/1.0"
	ReasonAccept       Reason = "wrong Sec-WebSocket-Accept"
	ReasonUpgrade      Reason = "answer is not an upgrade"
	ReasonContentType  Reason = "answer is not an event stream"
	ReasonCursor       Reason = "answer without a cursor"
	ReasonBody         Reason = "answer's body malformed"
	ReasonBodySize     Reason = "answer's body too long"
	ReasonKeepAlive    Reason = "poll connection not kept alive"
	ReasonUnregistered Reason = "epoll refused the socket"
	ReasonUnfinished   Reason = "unfinished at the end"
)

// The varieties that carry a number or the server's own words.
const (
	reasonStatusFormat = "HTTP %d"
	reasonClosedFormat = "closed %d"
	reasonProtocol     = "protocol: "
	reasonErrorEvent   = "error: "

	maxReasonText      = 60
	maxReasonVarieties = 100
)

// socketReason finds the word for what the kernel said.
func socketReason(err error) Reason {
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

func statusReason(status int) Reason { return Reason(fmt.Sprintf(reasonStatusFormat, status)) }
func closedReason(code int) Reason   { return Reason(fmt.Sprintf(reasonClosedFormat, code)) }

// foreignReason makes a reason with text of the server's.
func foreignReason(prefix string, text []byte) Reason {
	if len(text) > maxReasonText {
		text = text[:maxReasonText]
	}
	return Reason(fmt.Sprintf("%s%s", prefix, printable(text)))
}

// printable replaces what doesn't belong on a line of a report.
func printable(text []byte) []byte {
	clean := make([]byte, len(text))
	for i, b := range text {
		if b < ' ' || b > '~' {
			b = '?'
		}
		clean[i] = b
	}
	return clean
}

// tally counts by reason. The server's texts can't make it grow without end.
type tally map[Reason]uint64

func (t tally) add(r Reason, n uint64) {
	if _, known := t[r]; !known && len(t) >= maxReasonVarieties {
		r = "other"
	}
	t[r] += n
}

func (t tally) merge(from tally) {
	for r, n := range from {
		t.add(r, n)
	}
}

// Hint says what to change for the most frequent reason of failures and losses
// that there is a word for; empty without one.
func (r *Result) Hint() string {
	if all := hints(r.Failures, r.Retries, r.Losses.closes()); len(all) > 0 {
		return all[0]
	}
	return ""
}

// hints says what to change for each reason that there is a word for, the most
// frequent first.
func hints(of ...tally) (all []string) {
	for _, why := range byCount(merged(of...)) {
		if h := why.hint(); h != "" {
			all = append(all, fmt.Sprintf("%s: %s", why, h))
		}
	}
	return all
}

func merged(of ...tally) tally {
	all := make(tally)
	for _, t := range of {
		all.merge(t)
	}
	return all
}

// closes leaves the reasons that a gateway gave: why a client's connection
// broke says something else once it was ready.
func (t tally) closes() tally {
	all := make(tally)
	for why, n := range t {
		if strings.HasPrefix(string(why), "closed ") {
			all[why] = n
		}
	}
	return all
}

// hint says what to change when clients fail for a reason; empty when the
// reason says it all.
func (r Reason) hint() string {
	switch r {
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
		return "the server does not keep up: lower -c or --connect-rate, or raise --timeout; also look for TLS on that port"
	case ReasonSubscribe:
		return "the gateway took the connection but did not confirm the channels: is its Redis reachable?"
	case ReasonNotHTTP:
		return "the target does not speak plain HTTP/1.1: is --url right, is there TLS on that port?"
	case ReasonHTTP10:
		return "the target is a web server of an old kind and no gateway, which speaks HTTP/1.1: is --url right?"
	case ReasonUpgrade, ReasonAccept, ReasonContentType, ReasonCursor, statusReason(404), statusReason(400), statusReason(405):
		return "the target does not look like a gateway: is --url right?"
	case ReasonEarly, ReasonReset:
		return "that port may speak TLS, or it isn't a gateway's: is --url right?"
	case statusReason(401), closedReason(4001):
		return "the gateway wants a token that it can check: --jwt-key must name its secret or private key, and --jwt-issuer and --jwt-audience what it expects"
	case statusReason(403), closedReason(4003):
		return "the gateway refuses the channels: see --jwt-key and --channels"
	case statusReason(503), statusReason(429):
		return "the gateway turns clients away: see its limits.connections and its log"
	}
	return ""
}
