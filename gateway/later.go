package gateway

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// An EventSource comes back by itself when its stream ends, but after any status
// other than 200 it never does (HTML standard, 9.2.3). So a refusal that is
// over a moment later is a stream for it: the time to come back at, a bye that
// says why, and the end. Whoever looks at the status gets one: those that don't
// ask for an event stream by name, which every EventSource does.

// isTemporary reports whether the same request may succeed later.
func isTemporary(err *http1.Error) bool { return err.Status == 503 || err.Status == 429 }

// wantsEvents reports whether the request is an EventSource's.
func wantsEvents(r *http1.Request) bool {
	return string(r.Path) == "/v1/sse" && string(r.Method) == "GET" &&
		bytes.Contains(bytes.ToLower(r.Header("Accept")), []byte("text/event-stream"))
}

// appendLater appends the stream that refuses an EventSource for a while, with
// the options of its connection.
func (s *shard) appendLater(dst []byte, reason reasons.Reject, err *http1.Error, o http1.Options) []byte {
	o.ContentType, o.Lines = eventStream, []byte(eventLines)
	after := s.laterMS(reason)
	dst = appendRetry(http1.AppendStream(dst, 200, o), after)
	return appendEvent(dst, reply{Type: "bye", Reason: err.Code, Message: err.Message, ReconnectAfterMS: after})
}

// laterMS draws the time after which a refused client comes back: the same as
// Retry-After says, in milliseconds.
func (s *shard) laterMS(reason reasons.Reject) int64 {
	least, most := time.Second, retrySeconds*time.Second
	if reason == reasons.RejectDraining {
		least, most = 0, s.cfg.Drain.Reconnect
	}
	return 1 + least.Milliseconds() + rand.Int64N(max(1, (most-least).Milliseconds()))
}
